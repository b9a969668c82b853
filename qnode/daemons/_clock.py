"""A daemon's source of lab time, connected again after it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from qnode.clock import ClockError, LabClock, connect_clock

__all__ = ["RenewedClock"]

T = TypeVar("T")


class RenewedClock:
    """A `LabClock` that outlives its connection: the call that meets the loss fails, the next one connects anew.

    A failed call ends the plan that made it, so no plan runs on over a gap in its own bound.

    Args:
        address: as the lab file names it under ``clocks``.
        party: who is asking.
    """

    def __init__(self, address: str, party: str) -> None:
        self._address = address
        self._party = party
        self._clock: LabClock | None = None
        self._connecting = asyncio.Lock()

    async def now_ps(self) -> int:
        """See `LabClock`."""
        return await self._call(lambda clock: clock.now_ps())

    async def wait_until(self, until_ps: int) -> int:
        """See `LabClock`."""
        return await self._call(lambda clock: clock.wait_until(until_ps))

    async def release(self, until_ps: int) -> None:
        """See `LabClock`."""
        await self._call(lambda clock: clock.release(until_ps))

    async def idle(self) -> None:
        """See `LabClock`."""
        await self._call(lambda clock: clock.idle())

    async def close(self) -> None:
        """See `LabClock`."""
        clock, self._clock = self._clock, None
        if clock is not None:
            await clock.close()

    async def _call(self, call: Callable[[LabClock], Awaitable[T]]) -> T:
        async with self._connecting:
            if self._clock is None:
                self._clock = await connect_clock(self._address, self._party)
        clock = self._clock
        try:
            return await call(clock)
        except ClockError:
            if self._clock is clock:
                self._clock = None
                await clock.close()
            raise
