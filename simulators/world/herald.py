"""One round in which the herald logic fires: the herald line, the jumps it causes, and the readouts of the branches.

What is the same for every logic; `gate` and `latch` say what clicked, when the line rises, and what the readouts find.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.world.draws import Draws
from simulators.world.node_player import Jump, NodePlayer
from simulators.world.noise import OrnsteinUhlenbeck
from simulators.world.paired_link import PairedLink
from simulators.world.station import DETECTOR_LEVEL_V, GatedLink, Station
from simulators.world.world_context import WorldContext

__all__ = ["Herald", "HeraldPlayer"]

_Next = tuple[int | None, tuple[bool, bool], int]
"""The next gate (or pair) at which the logic fires, or None; whose light is still there; the pattern."""

LinkT = TypeVar("LinkT", bound=GatedLink | PairedLink)
FiredT = TypeVar("FiredT")


@dataclass(eq=False)
class Herald:
    """What became of one round with a click in a gate."""

    row: int
    """Of the slice."""
    clicks_ps: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    """Per detector: its tags, at its output, from the world's start."""
    jumps: dict[str, Jump] = field(default_factory=dict)
    """By node."""


class HeraldPlayer(abc.ABC, Generic[LinkT, FiredT]):
    """Plays rounds in which the logic fires.

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
        link: LinkT,
        first: int,
        pattern: int,
    ) -> Herald:
        """Play one round.

        Args:
            row: of the slice.
            number: of the round.
            base_ps: its nominal start, from the world's start.
            lines: per node the line that the trigger starts.
            link: what can click in it.
            first: the first gate (or pair of gates) at which the logic fires.
            pattern: what clicks there, drawn from the average over phases.
        """
        generator = self._draws.of_round(f"{self._station.site}.herald", number)
        herald = Herald(row)
        last_attempt: list[int | None] = [None, None]
        at: int | None = first
        lit = (True, True)
        while at is not None:
            fired = self._fired(link, at, lit, pattern, base_ps, generator)
            line_ps = self._line(link, fired, base_ps, herald, generator)
            if line_ps is not None:
                jumped = self._jump(line_ps, base_ps, lines, herald)
                for port, channel in enumerate(self._station.ports):
                    if channel is not None and channel.node in jumped:
                        last_attempt[port] = self._last_attempt(channel.node, herald.jumps[channel.node], lines)
                self._read(herald, base_ps, link, fired, jumped, generator)
            at, lit, pattern = self._next(link, at, last_attempt, base_ps, herald, generator)
        return herald

    # --- what the logic is -----------------------------------------------------------------------------------------

    @abc.abstractmethod
    def _fired(
        self,
        link: LinkT,
        at: int,
        lit: tuple[bool, bool],
        pattern: int,
        base_ps: int,
        generator: np.random.Generator,
    ) -> FiredT:
        """What clicked, with the phase known now."""

    @abc.abstractmethod
    def _line(
        self, link: LinkT, fired: FiredT, base_ps: int, herald: Herald, generator: np.random.Generator
    ) -> int | None:
        """Tags of the detectors; when the herald line rises at the logic's output, from the nominal start."""

    @abc.abstractmethod
    def _read(
        self,
        herald: Herald,
        base_ps: int,
        link: LinkT,
        fired: FiredT,
        jumped: set[str],
        generator: np.random.Generator,
    ) -> None:
        """Outcomes of the branches that this started, and their photons."""

    def _passed(
        self,
        link: LinkT,
        lit: tuple[bool, bool],
        first: int,
        stop: int,
        base_ps: int,
        herald: Herald,
        generator: np.random.Generator,
    ) -> None:
        """Clicks in tries at which the logic does not fire; a logic that fires on every click has none."""

    def _clicked_spins(
        self, link: LinkT, at: int, lit: tuple[bool, bool], jumped: set[str], herald: Herald
    ) -> Iterator[tuple[int, str, Jump]]:
        """Spins that the click was about and whose branch starts now: port, node and jump.

        A line that came late met the next pass: that spin was pumped anew and knows nothing of the click.
        """
        for port, channel in enumerate(self._station.ports):
            if channel is None or channel.node not in jumped:
                continue
            jump = herald.jumps[channel.node]
            same_pass = link.attempt[port][at] == jump.loop and jump.segment.waveform.excitation is not None
            if lit[port] and same_pass:
                yield port, channel.node, jump

    # --- what follows for the nodes --------------------------------------------------------------------------------

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
        self,
        link: LinkT,
        at: int,
        last_attempt: list[int | None],
        base_ps: int,
        herald: Herald,
        generator: np.random.Generator,
    ) -> _Next:
        """The next try at which the logic fires, with the light that is still there; and the clicks up to it."""
        ends = [_dark_from(link, port, at, last) for port, last in enumerate(last_attempt)]
        start = at + 1
        for stop in sorted({min(end, link.tries) for end in (*ends, link.tries)}):
            if stop <= start:
                continue
            lit = (start < ends[0], start < ends[1])
            found = int(link.first_click(generator.random(1), lit, after=start - 1)[0])
            self._passed(link, lit, start, min(found, stop), base_ps, herald, generator)
            if found < stop:
                pattern = int(link.patterns(np.array([found]), generator.random(1), lit)[0])
                return found, lit, pattern
            start = stop
        return None, (False, False), 0

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


def _dark_from(link: GatedLink | PairedLink, port: int, gate: int, last_attempt: int | None) -> int:
    """The first gate (or pair) after ``gate`` that sees no light of a node whose last attempt is known."""
    if last_attempt is None:
        return link.tries
    later = np.flatnonzero(link.attempt[port][gate + 1 :] > last_attempt)
    return gate + 1 + int(later[0]) if later.size else link.tries
