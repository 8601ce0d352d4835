"""What processes cost: CPU seconds and resident memory, read from the kernel."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds that were used up to an instant."""

    at: float
    clients: float
    postgres: float
    kafka: float

    def since(self, earlier: "Spent") -> "Spent":
        """What was used between two instants; `at` is then how long it took."""
        return Spent(
            self.at - earlier.at,
            self.clients - earlier.clients,
            self.postgres - earlier.postgres,
            self.kafka - earlier.kafka,
        )


def spent(clients: Iterable[int], postgres: int | None, kafka: int | None) -> Spent:
    """CPU of the client processes, of PostgreSQL with all its backends, and of the broker, so far."""
    return Spent(
        time.monotonic(),
        sum(cpu_s(pid) for pid in clients),
        cpu_s(postgres) if postgres else 0.0,
        cpu_s(kafka) if kafka else 0.0,
    )


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its descendants, those included that ended and were waited for."""
    try:
        process = psutil.Process(pid)
        used = process.cpu_times()
        total = used.user + used.system + used.children_user + used.children_system
        return float(total) + sum(_own(child) for child in process.children(recursive=True))
    except psutil.NoSuchProcess:
        return 0.0


def _own(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system + used.children_user + used.children_system)


def rss_mb(pids: Iterable[int]) -> float:
    """Resident memory of processes, in MiB."""
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1024 / 1024
