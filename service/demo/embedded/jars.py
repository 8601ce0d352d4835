"""Apache Kafka's jars: fetched once by a Maven resolver in Python, kept in the user's cache folder.

Where they are, no network is used. Two processes that fetch at once don't disturb each other.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from service.demo.embedded.child import Progress, silent

KAFKA_VERSION = "4.1.0"
LOG4J_VERSION = "2.25.1"

_ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # As a root, too: log4j's BOM would pull it down to 3.9, with which Kafka doesn't start.
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
    f"org.apache.logging.log4j:log4j-core:{LOG4J_VERSION}",
    f"org.apache.logging.log4j:log4j-1.2-api:{LOG4J_VERSION}",
)


class FetchFailed(Exception):
    """The jars couldn't be fetched; the message holds the resolver's output."""


def kafka_jars(progress: Progress = silent) -> Path:
    """The folder with Kafka's jars; fetches them the first time. Raises `FetchFailed`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regrant"
    folder = cache / f"kafka-{KAFKA_VERSION}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            progress(f"fetches Apache Kafka {KAFKA_VERSION} (about 45 MB, once)")
            _fetch(cache, folder)
            progress(f"fetched {sum(1 for _ in folder.iterdir())} jars")
    return folder


def _fetch(cache: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "jgo", "--resolver", "python", "--class-path-only", "info", "jars"]
    answer = subprocess.run([*command, "+".join(_ROOTS)], capture_output=True, text=True, check=False)
    jars = {Path(line) for line in answer.stdout.split() if line.endswith(".jar")}
    if answer.returncode != 0 or not jars:
        raise FetchFailed(f"Apache Kafka's jars couldn't be fetched: {answer.stderr.strip()[-500:]}")
    partial = Path(tempfile.mkdtemp(dir=cache))
    for jar in jars:
        shutil.copy(jar, partial / jar.name)
    partial.rename(folder)
