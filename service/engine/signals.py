"""What one part of the process tells another: there is something new. Each only wakes; the database says what."""

import asyncio


class Signal:
    """A level that is set by many and waited for by one: a set that comes while its waiter works is not lost."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, at_most_s: float) -> bool:
        """Waits until set, at most `at_most_s` seconds; returns whether it was set, and lowers it."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
