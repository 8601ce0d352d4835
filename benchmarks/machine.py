"""The machine, the versions and the settings that a run was made with: what a figure is worth nothing without."""

import contextlib
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from benchmarks.servers import KAFKA_HEAP_MB, POSTGRES_SETTINGS, Servers
from service.demo.embedded.jars import KAFKA_VERSION

_PACKAGES = ("aiokafka", "asyncpg", "pydantic", "orjson", "uvloop", "transitions")
_PEERS = ("faststream", "sqlalchemy", "pgqueuer", "dbos")


async def facts(servers: Servers) -> dict[str, Any]:  # Any: what JSON can hold
    """What `machine` holds in the report."""
    connection = await asyncpg.connect(servers.admin_dsn)
    try:
        postgres = await connection.fetchval("show server_version")
    finally:
        await connection.close()
    return {
        "cores": psutil.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "filesystem": _filesystem(servers.supervisor.folder),
        "load_when_begun": round(psutil.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": postgres,
        "kafka": f"Apache Kafka {KAFKA_VERSION}, one node, {KAFKA_HEAP_MB} MB heap",
        "packages": dict(_versions()),
        "postgres_settings": POSTGRES_SETTINGS,
    }


def _versions() -> Iterator[tuple[str, str]]:
    """Of what is installed: the peers are in a full run's environment alone."""
    for name in (*_PACKAGES, *_PEERS):
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _filesystem(folder: Path) -> str:
    """The type of the file system that the servers' data lies on; a tmpfs would make every sync free."""
    here = [p for p in psutil.disk_partitions(all=True) if folder.is_relative_to(p.mountpoint)]
    return max(here, key=lambda p: len(p.mountpoint)).fstype if here else "unknown"
