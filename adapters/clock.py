"""The system's clock: the only place where real time comes in."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Implements `bot.ports.Clock` by the machine's time."""

    def now(self) -> datetime:
        """Aware UTC, microseconds."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        await asyncio.sleep(seconds)
