"""What a process tells of itself: what runs, and how late its event loop is."""

import asyncio
import platform
from importlib.metadata import version

from service.telemetry import metrics

BEAT_S = 0.5


async def tell_of_itself() -> None:
    """Tells it until cancelled. A loop that is held up delays everybody alike, probes included."""
    metrics.BUILD.labels(version("regrant"), platform.python_version()).set(1)
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + BEAT_S
        await asyncio.sleep(BEAT_S)
        metrics.LOOP_LAG.observe(max(loop.time() - due, 0.0))
