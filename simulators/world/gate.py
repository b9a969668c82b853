"""One round in which a gate clicked: each click in a gate fires the line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.world.herald import Herald, HeraldPlayer
from simulators.world.link import ClickMaps
from simulators.world.station import GatedLink

__all__ = ["GatePlayer"]

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class _Fired:
    """One gate that clicked."""

    gate: int
    lit: tuple[bool, bool]
    maps: ClickMaps
    pattern: int
    phase_rad: float


class GatePlayer(HeraldPlayer[GatedLink, _Fired]):
    """Plays rounds in which a gate clicks."""

    def _fired(
        self,
        link: GatedLink,
        at: int,
        lit: tuple[bool, bool],
        pattern: int,
        base_ps: int,
        generator: np.random.Generator,
    ) -> _Fired:
        maps = link.maps_at(at, lit)
        time_ps = np.array([base_ps + int(link.open_ps[at])])
        phase = self._phase.sample(time_ps, generator)
        uniform = generator.random(1)
        pattern = int(maps.pattern_given_phase(np.array([pattern], dtype=np.uint8), phase, uniform)[0])
        return _Fired(at, lit, maps, pattern, float(phase[0]))

    def _line(
        self, link: GatedLink, fired: _Fired, base_ps: int, herald: Herald, generator: np.random.Generator
    ) -> int | None:
        station = self._station
        times = fired.maps.arrivals.inside_times(np.array([fired.pattern], dtype=np.uint8), generator)[0]
        jitter = generator.standard_normal(2) * station.jitter_rms_ps
        at_logic = []
        for detector in range(2):
            if not fired.pattern >> detector & 1:
                continue
            inside = _fold(int(times[detector]) + round(float(jitter[detector])), link.window_ps)
            logic_ps = int(link.open_ps[fired.gate]) + inside
            wire_ps = station.to_logic_ps[detector]
            herald.clicks_ps[detector].append(base_ps + logic_ps - (wire_ps or 0))
            if wire_ps is not None:
                at_logic.append(logic_ps)
        return min(at_logic) + station.latency_ps if at_logic else None

    def _read(
        self,
        herald: Herald,
        base_ps: int,
        link: GatedLink,
        fired: _Fired,
        jumped: set[str],
        generator: np.random.Generator,
    ) -> None:
        uniform = generator.random(4)
        operators: list[Complex | None] = [None, None]
        clicked = list(self._clicked_spins(link, fired.gate, fired.lit, jumped, herald))
        for port, node, jump in clicked:
            operators[port] = self._nodes[node].herald_operator(jump)
        outcomes: dict[str, bool] = {}
        if any(operator is not None for operator in operators):
            rho = fired.maps.post_state(fired.pattern, np.array([fired.phase_rad]))[0]
            found = _measure(rho, operators, uniform[:2])
            outcomes = {node: found[port] for port, node, _ in clicked if operators[port] is not None}
        self._branches(herald, base_ps, jumped, outcomes, uniform[2:], generator)


def _fold(time_ps: int, window_ps: int) -> int:
    """Fold a time back at the edges of [0, window): jitter never moves a click out of its gate."""
    period = 2 * window_ps
    folded = time_ps % period
    return folded if folded < window_ps else period - 1 - folded


def _measure(rho: Complex, operators: list[Complex | None], uniform: NDArray[np.float64]) -> list[bool]:
    """Find both qubits bright or dark by the Born rule, one after the other.

    Args:
        rho: (4, 4), the first qubit is the first digit.
        operators: per qubit "bright is found", (2, 2); None: it is not measured, and its outcome means nothing.
        uniform: (2,) random numbers.
    """
    tensor = rho.reshape(2, 2, 2, 2)
    found = []
    for port, operator in enumerate(operators):
        if operator is None:
            found.append(False)
            continue
        # The effect is applied on one side only: enough for the probabilities of what follows on the other qubit.
        subscripts = "xi,ijkl->xjkl" if port == 0 else "xj,ijkl->ixkl"
        with_bright = np.einsum(subscripts, operator, tensor)
        chance = float(np.einsum("ijij->", with_bright).real) / float(np.einsum("ijij->", tensor).real)
        bright = bool(uniform[port] < chance)
        found.append(bright)
        tensor = with_bright if bright else tensor - with_bright
    return found
