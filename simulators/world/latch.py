"""One round in which the two-window latch fires: the herald line, the jumps, the readouts, and the clicks around them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from simulators.world.double_click import DoubleClickMaps
from simulators.world.herald import Herald, HeraldPlayer
from simulators.world.paired_link import PairedLink

__all__ = ["LatchPlayer"]

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class _Fired:
    """One pair of gates on which the latch fired."""

    pair: int
    lit: tuple[bool, bool]
    maps: DoubleClickMaps
    pattern: int
    phase_rad: NDArray[np.float64]
    """(2,): in either window."""


class LatchPlayer(HeraldPlayer[PairedLink, _Fired]):
    """Plays rounds in which the latch fires."""

    def _fired(
        self,
        link: PairedLink,
        at: int,
        lit: tuple[bool, bool],
        pattern: int,
        base_ps: int,
        generator: np.random.Generator,
    ) -> _Fired:
        maps = link.maps_at(at, lit)
        phase = self._phase.sample(base_ps + link.open_ps[link.pair[at]], generator)
        redrawn = maps.pattern_given_phase(np.array([pattern], dtype=np.uint8), phase, generator.random(1))
        return _Fired(at, lit, maps, int(redrawn[0]), phase)

    def _line(
        self, link: PairedLink, fired: _Fired, base_ps: int, herald: Herald, generator: np.random.Generator
    ) -> int | None:
        station = self._station
        at_logic: tuple[list[int], list[int]] = ([], [])
        for window in range(2):
            times = link.click_times(fired.maps, window, np.array([fired.pattern], dtype=np.uint8), generator)[0]
            for detector in range(2):
                if times[detector] < 0:
                    continue
                logic_ps = int(link.open_ps[link.pair[fired.pair, window]]) + int(times[detector])
                wire_ps = station.to_logic_ps[detector]
                herald.clicks_ps[detector].append(base_ps + logic_ps - (wire_ps or 0))
                if wire_ps is not None:
                    at_logic[window].append(logic_ps)
        return min(at_logic[1]) + station.latency_ps if all(at_logic) else None

    def _passed(
        self,
        link: PairedLink,
        lit: tuple[bool, bool],
        first: int,
        stop: int,
        base_ps: int,
        herald: Herald,
        generator: np.random.Generator,
    ) -> None:
        clicks = link.lone_clicks(1, generator, lit, first, stop)
        for time_ps, mark in zip(clicks.t_ps.tolist(), clicks.mark.tolist(), strict=True):
            herald.clicks_ps[mark & 1].append(base_ps + time_ps - (self._station.to_logic_ps[mark & 1] or 0))

    def _read(
        self,
        herald: Herald,
        base_ps: int,
        link: PairedLink,
        fired: _Fired,
        jumped: set[str],
        generator: np.random.Generator,
    ) -> None:
        uniform = generator.random(4)
        weights: list[Complex | None] = [None, None]
        clicked = list(self._clicked_spins(link, fired.pair, fired.lit, jumped, herald))
        for port, node, jump in clicked:
            weights[port] = link.weights(port, fired.pair, partial(self._nodes[node].herald_weights, jump))
        outcomes: dict[str, bool] = {}
        if any(weight is not None for weight in weights):
            chance = fired.maps.readout(fired.pattern, fired.phase_rad, weights[0], weights[1])
            first = bool(uniform[0] * chance[0, 0] < chance[1, 0])
            of_second = chance[1] if first else chance[0] - chance[1]
            found = (first, bool(uniform[1] * of_second[0] < of_second[1]))
            outcomes = {node: found[port] for port, node, _ in clicked if weights[port] is not None}
        self._branches(herald, base_ps, jumped, outcomes, uniform[2:], generator)
