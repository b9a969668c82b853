"""Counts per measurement period, from the world or, without one, of the detectors in the dark."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qnode.clock import PS_PER_S
from simulators.instruments.single_quantum._nanowire import WORKING_DARK_HZ, Nanowire

__all__ = ["Counts"]

_WORLD_GRACE_S = 2.0
_MOST_PENDING = 2_000


class Counts:
    """Counts since they were last taken. All methods belong to the event loop.

    Args:
        channels: number of detectors.
        key: of the random numbers.
    """

    def __init__(self, channels: int, key: int) -> None:
        self._channels = channels
        self._pending: deque[tuple[int, NDArray[np.int64]]] = deque()
        self._key = key
        self._delivered_ps: int | None = None
        self._arrived = asyncio.Event()

    def add(self, counts: Mapping[int, int], until_ps: int) -> None:
        """Pulses that the world has seen up to ``until_ps``."""
        if counts:
            pulses = np.zeros(self._channels, np.int64)
            for channel, count in counts.items():
                pulses[channel - 1] = count
            self._pending.append((until_ps, pulses))
        while len(self._pending) > _MOST_PENDING:
            # Nobody takes them: their sum is still right.
            _, oldest = self._pending.popleft()
            self._pending[0][1][:] += oldest
        self._delivered_ps = max(until_ps, self._delivered_ps or until_ps)
        self._arrived.set()

    async def take(self, wires: tuple[Nanowire, ...], end_ps: int, period_ps: int) -> NDArray[np.int64]:
        """The counts of the period that ended at ``end_ps``, and begin anew."""
        if self._delivered_ps is None:
            return self._dark(wires, end_ps, period_ps)
        # The world's last pulses come a moment after its clock.
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + _WORLD_GRACE_S
        while self._delivered_ps < end_ps and loop.time() < give_up_s:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), give_up_s - loop.time())
            except TimeoutError:
                break
        taken = np.zeros(self._channels, np.int64)
        while self._pending and self._pending[0][0] <= end_ps:
            taken += self._pending.popleft()[1]
        return taken

    def _dark(self, wires: tuple[Nanowire, ...], end_ps: int, period_ps: int) -> NDArray[np.int64]:
        # Keyed by when: the same second of lab time gives the same counts.
        rng = np.random.Generator(np.random.Philox(key=self._key, counter=end_ps // period_ps))
        rates = np.array([wire.dark_rate for wire in wires]) * WORKING_DARK_HZ
        return rng.poisson(rates * period_ps / PS_PER_S)
