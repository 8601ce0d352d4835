"""Three real Apache Kafka nodes, each a voter that holds everything; each can be killed and started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from service.demo.embedded import EmbeddedKafka, Supervisor
from service.demo.embedded.child import free_port
from service.demo.embedded.kafka import Node, Seat, cluster_id

SIZE = 3


class KafkaCluster:
    """Three nodes of one cluster: replication 3, and a write counts when two have it."""

    def __init__(self, supervisor: Supervisor) -> None:
        ports = _distinct_ports(2 * SIZE)
        voters = tuple(Node(i + 1, ports[2 * i], ports[2 * i + 1]) for i in range(SIZE))
        cluster = cluster_id()
        self.nodes = [
            EmbeddedKafka(supervisor, f"kafka-{node.id}", seat=Seat(node, voters, cluster)) for node in voters
        ]

    @property
    def bootstrap(self) -> str:
        """All three, separated by commas."""
        return ",".join(node.bootstrap for node in self.nodes)

    async def start(self) -> None:
        """Starts all three and waits until each answers; none can without another."""
        await asyncio.gather(*(node.start() for node in self.nodes))


@asynccontextmanager
async def three_brokers(folder: Path | None = None) -> AsyncIterator[KafkaCluster]:
    """A running cluster. It ends by SIGKILL: the last of a quorum hangs for seconds in a clean stop."""
    with closing(Supervisor(folder)) as supervisor:
        cluster = KafkaCluster(supervisor)
        await cluster.start()
        yield cluster


def _distinct_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)
