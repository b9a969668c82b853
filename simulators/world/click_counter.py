"""Pulses of the detectors on their way to the driver that biases them, which counts them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simulators.kit import DetectorSim
from simulators.world.wiring import Wiring, channel_number

__all__ = ["ClickCounter"]

SLICE_PS = 10_000_000_000
"""10 ms: the shortest measurement period of the drivers that are simulated."""


class ClickCounter:
    """All detector drivers of a lab; times are int64 picoseconds from the world's start.

    Args:
        origin_ps: lab time of the world's start.
        drivers: simulated ones, by ``site.instrument``.
        wiring: says which channel biases which detector.
    """

    def __init__(self, origin_ps: int, drivers: Mapping[str, DetectorSim], wiring: Wiring) -> None:
        self._origin_ps = origin_ps
        self._origin_in_slice_ps = origin_ps % SLICE_PS
        self._drivers = drivers
        self._wiring = wiring
        self._times: dict[tuple[str, int], list[NDArray[np.int64]]] = {}

    def add(self, detector: str | None, t_ps: NDArray[np.int64]) -> None:
        """Pulses of a detector, ``site.element``."""
        source = self._wiring.source(f"{detector}.bias")
        if source is None or not t_ps.size:
            return
        driver, _, connector = source[0].rpartition(".")
        channel = channel_number(connector)
        if driver in self._drivers and channel is not None:
            self._times.setdefault((driver, channel), []).append(t_ps)

    def flush(self, until_ps: int) -> None:
        """Deliver the counts of all pulses before ``until_ps``, also when there are none. Later ones wait.

        Drivers count per period, and the world may be many of them ahead: pulses are told in slices of lab time.
        """
        due: dict[str, dict[int, dict[int, int]]] = {name: {} for name in self._drivers}
        for (driver, channel), parts in self._times.items():
            times = np.concatenate(parts)
            ripe = times < until_ps
            self._times[driver, channel] = [times[~ripe]]
            slices, counts = np.unique((times[ripe] + self._origin_in_slice_ps) // SLICE_PS, return_counts=True)
            for number, count in zip(slices.tolist(), counts.tolist(), strict=True):
                due[driver].setdefault(number, {})[channel] = count
        for name, driver_sim in self._drivers.items():
            for number in sorted(due[name]):
                end_ps = min((number + 1) * SLICE_PS - self._origin_in_slice_ps, until_ps)
                driver_sim.deliver_counts(due[name][number], self._origin_ps + end_ps)
            driver_sim.deliver_counts({}, self._origin_ps + until_ps)
