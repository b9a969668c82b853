"""Pulses of the detectors on their way to the driver that biases them, which counts them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simulators.kit import DetectorSim
from simulators.world.wiring import Wiring

__all__ = ["ClickCounter"]


class ClickCounter:
    """All detector drivers of a lab; times are int64 picoseconds from the world's start.

    Args:
        origin_ps: lab time of the world's start.
        drivers: simulated ones, by ``site.instrument``.
        wiring: says which channel biases which detector.
    """

    def __init__(self, origin_ps: int, drivers: Mapping[str, DetectorSim], wiring: Wiring) -> None:
        self._origin_ps = origin_ps
        self._drivers = drivers
        self._wiring = wiring
        self._times: dict[tuple[str, int], list[NDArray[np.int64]]] = {}

    def add(self, detector: str | None, t_ps: NDArray[np.int64]) -> None:
        """Pulses of a detector, ``site.element``."""
        source = self._wiring.source(f"{detector}.bias")
        if source is None or not t_ps.size:
            return
        driver, _, connector = source[0].rpartition(".")
        if driver in self._drivers:
            self._times.setdefault((driver, int(connector.removeprefix("ch"))), []).append(t_ps)

    def flush(self, until_ps: int) -> None:
        """Deliver the counts of all pulses before ``until_ps``, also when there are none. Later ones wait."""
        due: dict[str, dict[int, int]] = {name: {} for name in self._drivers}
        for (driver, channel), parts in self._times.items():
            times = np.concatenate(parts)
            later = times[times >= until_ps]
            due[driver][channel] = times.size - later.size
            self._times[driver, channel] = [later]
        for name, driver_sim in self._drivers.items():
            driver_sim.deliver_counts(due[name], self._origin_ps + until_ps)
