"""One round in which a gate clicked: the herald line, the jumps it causes, and the readouts of the two branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulators.world.draws import Draws
from simulators.world.link import ClickMaps
from simulators.world.node_player import Jump, NodePlayer
from simulators.world.noise import OrnsteinUhlenbeck
from simulators.world.paired_link import PairedLink
from simulators.world.station import DETECTOR_LEVEL_V, GatedLink, Station
from simulators.world.world_context import WorldContext

__all__ = ["Herald", "HeraldPlayer", "dark_from", "fold", "measure"]

Complex = NDArray[np.complex128]


@dataclass(eq=False)
class Herald:
    """What became of one round with a click in a gate."""

    row: int
    """Of the slice."""
    clicks_ps: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    """Per detector: its tags, at its output, from the world's start."""
    jumps: dict[str, Jump] = field(default_factory=dict)
    """By node."""


@dataclass(frozen=True, eq=False)
class _Click:
    """One gate that clicked."""

    gate: int
    lit: tuple[bool, bool]
    maps: ClickMaps
    pattern: int
    phase_rad: float


class HeraldPlayer:
    """Plays rounds in which a gate clicks.

    Args:
        context: the world.
        draws: of the group's epoch.
        phase: the optical phase of the station.
        station: the midpoint.
        nodes: the players of all nodes of the group.
        dark: per node and row, whether it is ionised.
    """

    def __init__(
        self,
        context: WorldContext,
        draws: Draws,
        phase: OrnsteinUhlenbeck,
        station: Station,
        nodes: Mapping[str, NodePlayer],
        dark: Mapping[str, NDArray[np.bool_]],
    ) -> None:
        self._context = context
        self._draws = draws
        self._phase = phase
        self._station = station
        self._nodes = nodes
        self._dark = dark

    def play(
        self,
        row: int,
        number: int,
        base_ps: int,
        lines: Mapping[str, int],
        link: GatedLink,
        gate: int,
        pattern: int,
    ) -> Herald:
        """Play one round.

        Args:
            row: of the slice.
            number: of the round.
            base_ps: its nominal start, from the world's start.
            lines: per node the line that the trigger starts.
            link: what can click in it.
            gate: the first gate that clicks.
            pattern: what clicks there, drawn from the average over phases.
        """
        generator = self._draws.of_round(f"{self._station.site}.herald", number)
        herald = Herald(row)
        last_attempt: list[int | None] = [None, None]
        at: int | None = gate
        lit = (True, True)
        while at is not None:
            click = self._click(link, at, lit, pattern, base_ps, generator)
            line_ps = self._fire(link, click, base_ps, herald, generator)
            if line_ps is not None:
                jumped = self._jump(line_ps, base_ps, lines, herald)
                for port, channel in enumerate(self._station.ports):
                    if channel is not None and channel.node in jumped:
                        last_attempt[port] = self._last_attempt(channel.node, herald.jumps[channel.node], lines)
                self._read(herald, base_ps, link, click, jumped, generator)
            at, lit, pattern = self._next(link, at, last_attempt, generator)
        return herald

    def _click(
        self,
        link: GatedLink,
        gate: int,
        lit: tuple[bool, bool],
        pattern: int,
        base_ps: int,
        generator: np.random.Generator,
    ) -> _Click:
        maps = link.maps_at(gate, lit)
        time_ps = np.array([base_ps + int(link.open_ps[gate])])
        phase = self._phase.sample(time_ps, generator)
        uniform = generator.random(1)
        pattern = int(maps.pattern_given_phase(np.array([pattern], dtype=np.uint8), phase, uniform)[0])
        return _Click(gate, lit, maps, pattern, float(phase[0]))

    def _fire(
        self, link: GatedLink, click: _Click, base_ps: int, herald: Herald, generator: np.random.Generator
    ) -> int | None:
        """Tags of the detectors; when the herald line rises at the logic's output, from the nominal start."""
        station = self._station
        times = click.maps.arrivals.inside_times(np.array([click.pattern], dtype=np.uint8), generator)[0]
        jitter = generator.standard_normal(2) * station.jitter_rms_ps
        at_logic = []
        for detector in range(2):
            if not click.pattern >> detector & 1:
                continue
            inside = fold(int(times[detector]) + round(float(jitter[detector])), link.window_ps)
            logic_ps = int(link.open_ps[click.gate]) + inside
            wire_ps = station.to_logic_ps[detector]
            herald.clicks_ps[detector].append(base_ps + logic_ps - (wire_ps or 0))
            if wire_ps is not None:
                at_logic.append(logic_ps)
        return min(at_logic) + station.latency_ps if at_logic else None

    def _jump(self, line_ps: int, base_ps: int, lines: Mapping[str, int], herald: Herald) -> set[str]:
        """The herald line to everything it reaches; the nodes whose AWG obeys it now."""
        jumped = set()
        times = np.array([base_ps + line_ps])
        for end in self._station.line_ends:
            self._context.sink.add(end, times, self._station.line_v)
            if end.connector != "event":
                continue
            for name, player in self._nodes.items():
                if self._context.nodes[name].awg != end.thing or name in herald.jumps:
                    continue
                jump = player.jump(lines.get(name, 0), line_ps + end.delay_ps, self._station.line_v)
                if jump is not None:
                    herald.jumps[name] = jump
                    jumped.add(name)
        return jumped

    def _last_attempt(self, name: str, jump: Jump, lines: Mapping[str, int]) -> int:
        """The last attempt that a node plays after a jump; -1 where it jumped before its attempts."""
        attempts = self._nodes[name].path(lines[name]).attempts
        if attempts is None or jump.segment.start_ps < attempts.start_ps:
            return -1
        return jump.loop if jump.segment is attempts else attempts.loops - 1

    def _next(
        self, link: GatedLink, gate: int, last_attempt: list[int | None], generator: np.random.Generator
    ) -> tuple[int | None, tuple[bool, bool], int]:
        """The next gate that clicks, with the light that is still there: the logic is combinational."""
        ends = [dark_from(link, port, gate, last) for port, last in enumerate(last_attempt)]
        start = gate + 1
        for stop in sorted({min(end, link.gates) for end in (*ends, link.gates)}):
            if stop <= start:
                continue
            lit = (start < ends[0], start < ends[1])
            found = int(link.first_click(generator.random(1), lit, after=start - 1)[0])
            if found < stop:
                pattern = int(link.patterns(np.array([found]), generator.random(1), lit)[0])
                return found, lit, pattern
            start = stop
        return None, (False, False), 0

    # --- readout ---------------------------------------------------------------------------------------------------

    def _read(
        self,
        herald: Herald,
        base_ps: int,
        link: GatedLink,
        click: _Click,
        jumped: set[str],
        generator: np.random.Generator,
    ) -> None:
        """Outcomes of the branches that this click started, and their photons."""
        uniform = generator.random(4)
        operators: list[Complex | None] = [None, None]
        for port, channel in enumerate(self._station.ports):
            if channel is None or channel.node not in jumped:
                continue
            jump = herald.jumps[channel.node]
            # A line that came late met the next pass: that spin was pumped anew and knows nothing of the click.
            if click.lit[port] and link.attempt[port][click.gate] == jump.loop and jump.segment.waveform.excitation:
                operators[port] = self._nodes[channel.node].herald_operator(jump)
        outcomes: dict[str, bool] = {}
        if any(operator is not None for operator in operators):
            rho = click.maps.post_state(click.pattern, np.array([click.phase_rad]))[0]
            found = measure(rho, operators, uniform[:2])
            for channel, operator, bright in zip(self._station.ports, operators, found, strict=True):
                if channel is not None and operator is not None:
                    outcomes[channel.node] = bright
        self._branches(herald, base_ps, jumped, outcomes, uniform[2:], generator)

    def _branches(
        self,
        herald: Herald,
        base_ps: int,
        jumped: set[str],
        outcomes: dict[str, bool],
        uniform: NDArray[np.float64],
        generator: np.random.Generator,
    ) -> None:
        """Photons of branches that started; spins without an outcome yet know nothing of the click."""
        for name, number in zip(sorted(jumped), uniform, strict=False):
            if name not in outcomes:
                operator = self._nodes[name].stale_operator(herald.jumps[name])
                if operator is None:
                    continue
                outcomes[name] = bool(number < (operator[0, 0].real + operator[1, 1].real) / 2)
            self._photons(herald, base_ps, name, outcomes[name], generator)

    def _photons(self, herald: Herald, base_ps: int, name: str, bright: bool, generator: np.random.Generator) -> None:
        player, jump = self._nodes[name], herald.jumps[name]
        shots = player.shots(jump.branch)
        found = player.chain(shots, np.array([bright]), generator.random((1, len(shots))))
        counts = player.counts(shots, found, generator)
        _, times = player.photon_times(shots, counts, generator)
        if self._dark[name][herald.row]:
            return
        start_ps = base_ps + player.trigger_ps + jump.at_ps
        for end in self._context.wiring.ends(f"{self._context.nodes[name].qubit}.sideband"):
            self._context.sink.add(end, start_ps + times, DETECTOR_LEVEL_V)


def fold(time_ps: int, window_ps: int) -> int:
    """Fold a time back at the edges of [0, window): jitter never moves a click out of its gate."""
    period = 2 * window_ps
    folded = time_ps % period
    return folded if folded < window_ps else period - 1 - folded


def measure(rho: Complex, operators: list[Complex | None], uniform: NDArray[np.float64]) -> list[bool]:
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


def dark_from(link: GatedLink | PairedLink, port: int, gate: int, last_attempt: int | None) -> int:
    """The first gate (or pair) after ``gate`` that sees no light of a node whose last attempt is known."""
    if last_attempt is None:
        return link.tries
    later = np.flatnonzero(link.attempt[port][gate + 1 :] > last_attempt)
    return gate + 1 + int(later[0]) if later.size else link.tries
