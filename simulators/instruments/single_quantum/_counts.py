"""Counts per measurement period, from the world or, without one, of the detectors in the dark."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qnode.clock import PS_PER_S
from simulators.instruments.single_quantum._nanowire import WORKING_DARK_HZ, Nanowire

__all__ = ["Counts"]

_WORLD_GRACE_S = 2.0


class Counts:
    """Counts since they were last taken. All methods belong to the event loop.

    Args:
        channels: number of detectors.
        key: of the random numbers.
    """

    def __init__(self, channels: int, key: int) -> None:
        self._pending = np.zeros(channels, np.int64)
        self._key = key
        self._delivered_ps: int | None = None
        self._arrived = asyncio.Event()

    def add(self, counts: Mapping[int, int], until_ps: int) -> None:
        """Pulses that the world has seen up to ``until_ps``."""
        for channel, count in counts.items():
            self._pending[channel - 1] += count
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
        taken, self._pending = self._pending, np.zeros_like(self._pending)
        return taken

    def _dark(self, wires: tuple[Nanowire, ...], end_ps: int, period_ps: int) -> NDArray[np.int64]:
        # Keyed by when: the same second of lab time gives the same counts.
        rng = np.random.Generator(np.random.Philox(key=self._key, counter=end_ps // period_ps))
        rates = np.array([wire.dark_rate for wire in wires]) * WORKING_DARK_HZ
        return rng.poisson(rates * period_ps / PS_PER_S)
