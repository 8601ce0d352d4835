"""Apache Kafka's jars: fetched once by a Maven resolver in Python, kept in the user's cache folder.

Where they are, no network is used. Two processes that fetch at once don't disturb each other, and nothing that was
fetched in part is ever used.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from service.demo.embedded.child import Progress, Supervisor, silent, tail

KAFKA_VERSION = "4.4.0"
LOG4J_VERSION = "2.25.1"

_ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # As a root, too: log4j's BOM would pull it down to 3.9, with which Kafka doesn't start.
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
    f"org.apache.logging.log4j:log4j-core:{LOG4J_VERSION}",
    f"org.apache.logging.log4j:log4j-1.2-api:{LOG4J_VERSION}",
)
_MEGABYTES = 45
# Of all jars by name. Like the hashes of the requirements: what is run is what was tried.
_DIGEST = "f95af69566ee18114828a8968565f7185f2829dc276e35dd7c3f77901d202c99"


class FetchFailed(Exception):
    """The jars couldn't be fetched; the message holds the end of the resolver's output."""


async def kafka_jars(supervisor: Supervisor, progress: Progress = silent) -> Path:
    """The folder with Kafka's jars; fetches them the first time. Raises `FetchFailed`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regrant"
    folder = cache / f"kafka-{KAFKA_VERSION}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    async with _alone(cache / "kafka.lock", progress):
        if not folder.is_dir():
            await _fetch(supervisor, folder, progress)
    return folder


@asynccontextmanager
async def _alone(path: Path, progress: Progress) -> AsyncIterator[None]:
    """Holds the lock of `path`, which the kernel takes away from a process that dies."""
    with path.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress("waits for another process that fetches Apache Kafka")
                await asyncio.sleep(0.1)
        yield


async def _fetch(supervisor: Supervisor, folder: Path, progress: Progress) -> None:
    """Resolves into the supervisor's folder, which goes with us, and puts the result in its place in one step."""
    resolved, log = supervisor.folder / "jars", supervisor.folder / "jars.log"
    places = ["--repo-cache", str(resolved / "repository"), "--cache-dir", str(resolved / "result")]
    command = [sys.executable, "-m", "jgo", "--resolver", "python", "--class-path-only", *places]

    def say() -> None:
        so_far = sum(jar.stat().st_size for jar in (resolved / "repository").rglob("*.jar")) // 1_000_000
        progress(f"fetches Apache Kafka {KAFKA_VERSION}, once: {so_far} of about {_MEGABYTES} MB")

    code = await supervisor.run([*command, "info", "jars", "+".join(_ROOTS)], log=log, meanwhile=say)
    jars = sorted((resolved / "result").rglob("*.jar"), key=lambda jar: jar.name)
    if code != 0:
        raise FetchFailed(f"Apache Kafka's jars can't be fetched: {tail(log)}")
    if (digest := digest_of(jars)) != _DIGEST:
        raise FetchFailed(f"Apache Kafka's jars aren't those that were tried: {len(jars)} files, SHA-256 {digest}")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed here; the lock is ours
    partial.mkdir()
    for jar in jars:
        shutil.copy(jar, partial)
    partial.rename(folder)
    shutil.rmtree(resolved)


def digest_of(jars: Iterable[Path]) -> str:
    """One SHA-256 over the names and contents of files, in their order."""
    whole = hashlib.sha256()
    for jar in jars:
        whole.update(f"{jar.name} {hashlib.sha256(jar.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
