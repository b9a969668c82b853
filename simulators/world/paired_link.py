"""A midpoint whose herald logic is a two-window latch, against both nodes' attempts: pairs of gates, and what clicks.

All times of a round count from its nominal start, as in `station`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import exp

import numpy as np
from numpy.typing import NDArray

from qnode.labfile import LATCH_PAIR_NS
from simulators.world._arrivals import ArrivalSampler
from simulators.world._wave_packet import WavePacket
from simulators.world.double_click import PATTERNS, DoubleClickMaps, TwoPulses, window_pattern
from simulators.world.draws import Photons
from simulators.world.station import Station, few_offsets, first_of, meeting

__all__ = ["PairedLink", "PulseTrain", "pair_gates"]

Complex = NDArray[np.complex128]
Float = NDArray[np.float64]
Int = NDArray[np.int64]

LATCH_PAIR_PS = LATCH_PAIR_NS * 1_000


def pair_gates(open_ps: Int) -> Int:
    """Pairs of gates as the latch sees them.

    A gate that opens at most `LATCH_PAIR_NS` after a first gate is the second of that pair; any other one is a first.

    Args:
        open_ps: (gates,), ascending.

    Returns:
        (pairs, 2): numbers of the gates; -1 in place of a second gate that never opens.
    """
    pairs: list[tuple[int, int]] = []
    for gate, at_ps in enumerate(open_ps.tolist()):
        if pairs and pairs[-1][1] < 0 and at_ps - int(open_ps[pairs[-1][0]]) <= LATCH_PAIR_PS:
            pairs[-1] = (pairs[-1][0], gate)
        else:
            pairs.append((gate, -1))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class PulseTrain:
    """One node's optical pulses of a round."""

    pulse_ps: Int
    """(attempts, pulses): at the qubit, from the round's nominal start."""
    histories: Callable[[int | None, int | None], Complex]
    """The spin by the photons of two pulses of one attempt, see `NodePlayer.histories`."""
    emission: Callable[[int], float]
    """P(photon) of a pulse, see `NodePlayer.emission`."""


@dataclass(frozen=True)
class _Light:
    """What of one node's light falls into a pair of gates: the pulse's number and the packet's start in the gate."""

    first: tuple[int, int] | None
    second: tuple[int, int] | None
    same_attempt: bool


class PairedLink:
    """What can click in one round, pair of gates by pair of gates.

    Args:
        station: the midpoint.
        open_ps: (gates,), ascending: the gate's openings at the herald logic.
        window_ps: their length.
        trains: per port the node's pulses, or None where none is lit.
    """

    def __init__(
        self, station: Station, open_ps: Int, window_ps: int, trains: tuple[PulseTrain | None, PulseTrain | None]
    ) -> None:
        self.station = station
        self.open_ps = open_ps
        self.window_ps = window_ps
        self.pair = pair_gates(open_ps)
        """(pairs, 2): gates, see `pair_gates`."""
        self._trains = trains
        met = [self._met(port) for port in range(2)]
        self._packet = [packet for packet, _ in met]
        self._offset = [offset for _, offset in met]
        self.seen = tuple(self._seen(port) for port in range(2))
        """Per port, (pairs, 2): number of the pulse within its attempt whose light falls into each gate; -1: none."""
        self.attempt = tuple(self._attempts(port) for port in range(2))
        """Per port, (pairs,): the last attempt whose light falls into the pair; -1: none."""
        self._maps: dict[tuple[object, ...], DoubleClickMaps] = {}
        self._tables: dict[tuple[bool, bool], tuple[Int, list[DoubleClickMaps]]] = {}
        wired = sum(1 << n for n, delay in enumerate(station.to_logic_ps) if delay is not None)
        patterns = np.arange(PATTERNS)
        self.fires: NDArray[np.bool_] = ((patterns & 3 & wired) > 0) & ((patterns >> 2 & wired) > 0)
        """(16,): the patterns on which the latch fires."""

    @property
    def gates(self) -> int:
        """How many gates a round has."""
        return int(self.open_ps.size)

    @property
    def tries(self) -> int:
        """How many pairs a round has: so often the latch may fire."""
        return int(self.pair.shape[0])

    def last_gate(self, pair: int) -> int:
        """The last gate of a pair."""
        return int(self.pair[pair].max())

    def arrival_ps(self, port: int) -> Int:
        """(attempts x pulses,): where each wave packet begins at the herald logic."""
        train, channel = self._trains[port], self.station.ports[port]
        if train is None or channel is None:
            return np.zeros(0, dtype=np.int64)
        return train.pulse_ps.ravel() + (channel.delay_ps + self.station.path_ps)

    def maps_at(self, pair: int, lit: tuple[bool, bool] = (True, True)) -> DoubleClickMaps:
        """The maps of one pair, with the light of either node there or not."""
        index, maps = self._table(lit)
        return maps[int(index[pair])]

    def first_click(self, uniform: Float, lit: tuple[bool, bool] = (True, True), after: int = -1) -> Int:
        """The first pair on which the latch fires, from one uniform number a round; `tries` where it never does."""
        if not self.tries:
            return np.zeros(uniform.shape, dtype=np.int64)
        index, maps = self._table(lit)
        fires = np.array([min(float(m.probability[self.fires].sum()), 1 - 1e-16) for m in maps])
        return first_of(np.cumsum(np.log1p(-fires)[index]), uniform, after)

    def patterns(self, pair: Int, uniform: Float, lit: tuple[bool, bool] = (True, True)) -> NDArray[np.uint8]:
        """Click patterns of pairs on which the latch fired."""
        return self._drawn(pair, uniform, lit, self.fires)

    def lone_clicks(
        self,
        rounds: int,
        generator: np.random.Generator,
        lit: tuple[bool, bool] = (True, True),
        first: int = 0,
        stop: int | None = None,
    ) -> Photons:
        """Clicks of pairs on which the latch does not fire: times at the logic, marks 2 x pair + detector.

        A slot of probability q is hit by a Poisson process of -ln(1 - q): exact, and the cost grows with the clicks.

        Args:
            rounds: how many rounds.
            generator: draws.
            lit: whose light is there.
            first: first pair.
            stop: pair after the last one.
        """
        index, maps = self._table(lit)
        stop = self.tries if stop is None else stop
        lone = self._lone
        chance = [
            float(m.probability[lone].sum()) / max(1 - float(m.probability[self.fires].sum()), 1e-300) for m in maps
        ]
        rate = -np.log1p(-np.minimum(np.array(chance), 1 - 1e-16))
        edges = np.cumsum(rate[index[first:stop]]) if stop > first else np.zeros(0)
        total = float(edges[-1]) if edges.size else 0.0
        hits = int(generator.poisson(rounds * total)) if total > 0 else 0
        if not hits:
            empty = np.zeros(0, dtype=np.int64)
            return Photons(empty, empty, empty)
        at = generator.random(hits) * (rounds * total)
        row = np.minimum((at // total).astype(np.int64), rounds - 1)
        pair = first + np.minimum(np.searchsorted(edges, at - row * total, side="right"), edges.size - 1)
        row, pair = np.divmod(np.unique(row * self.tries + pair), self.tries)
        pattern = self._drawn(pair, generator.random(pair.size), lit, lone)
        parts: list[tuple[Int, Int, Int]] = []
        for kind in np.unique(index[pair]).tolist():
            of_kind = np.flatnonzero(index[pair] == kind)
            for window in range(2):
                chosen = of_kind[window_pattern(pattern[of_kind], window) > 0]
                times = self.click_times(maps[kind], window, pattern[chosen], generator)
                opened = self.open_ps[self.pair[pair[chosen], window]]
                for detector in range(2):
                    clicked = times[:, detector] >= 0
                    where = chosen[clicked]
                    parts.append((row[where], opened[clicked] + times[clicked, detector], 2 * pair[where] + detector))
        rows, times_ps, marks = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(rows, kind="stable")
        return Photons(rows[order], times_ps[order], marks[order])

    def click_times(
        self, maps: DoubleClickMaps, window: int, pattern: NDArray[np.uint8], generator: np.random.Generator
    ) -> Int:
        """(n, 2): ps since the gate opened, detector's jitter included, per detector; -1 where it didn't click."""
        times = maps.arrivals[window].inside_times(window_pattern(pattern, window), generator)
        jitter = np.rint(generator.standard_normal(times.shape) * self.station.jitter_rms_ps).astype(np.int64)
        folded = (times + jitter) % (2 * self.window_ps)
        folded = np.where(folded < self.window_ps, folded, 2 * self.window_ps - 1 - folded)
        return np.where(times >= 0, folded, -1)

    def weights(
        self, port: int, pair: int, read: Callable[[int | None, int | None], Complex | None]
    ) -> Complex | None:
        """What a readout finds, by the photons of a pair (see `DoubleClickMaps.readout`).

        Args:
            port: whose.
            pair: which.
            read: the same by pulses of one attempt, `NodePlayer.herald_weights`.
        """
        first, second = (None if seen < 0 else int(seen) for seen in self.seen[port][pair])
        train = self._trains[port]
        if train is None or self._light(port, pair, True).same_attempt:
            return read(first, second)
        found = read(None, second)
        earlier = np.einsum("abccii->ab", train.histories(first, None))
        return None if found is None else np.einsum("ab,xccde->xabde", earlier, found)

    # --- light that meets no gate ----------------------------------------------------------------------------------

    def arrivals_at(self, gate: int) -> ArrivalSampler:
        """When clicks in a gate came."""
        pair, window = (int(x[0]) for x in np.nonzero(self.pair == gate))
        return self.maps_at(pair).arrivals[window]

    @cached_property
    def outside(self) -> Float:
        """(gates,): mean number of photons of a gate's pulses that click outside it, both detectors."""
        index, maps = self._table((True, True))
        result = np.zeros(self.gates)
        for window in range(2):
            there = self.pair[:, window] >= 0
            means = np.array([2 * m.arrivals[window].outside_probability for m in maps])
            result[self.pair[there, window]] = means[index[there]] if means.size else 0.0
        return result

    def kinds(self) -> Int:
        """(gates,): equal numbers for gates with the same maps and the same place in their pair."""
        index, _ = self._table((True, True))
        result = np.zeros(self.gates, dtype=np.int64)
        for window in range(2):
            there = self.pair[:, window] >= 0
            result[self.pair[there, window]] = 2 * index[there] + window
        return result

    @cached_property
    def ungated(self) -> tuple[Int, ...]:
        """Per port: packets whose light meets no gate."""
        return tuple(np.setdiff1d(np.arange(self.arrival_ps(port).size), self._packet[port]) for port in range(2))

    def emission_probability(self, port: int) -> float:
        """P(a photon of this node clicks somewhere), a mean over the pulses that meet no gate."""
        train = self._trains[port]
        if train is None or self.station.ports[port] is None or not self.ungated[port].size:
            return 0.0
        pulses = train.pulse_ps.shape[1]
        emitted = np.array([train.emission(number) for number in range(pulses)])
        return float(emitted[self.ungated[port] % pulses].mean()) * self.station.light(port, self.window_ps)[0]

    # --- what falls where ------------------------------------------------------------------------------------------

    @cached_property
    def _lone(self) -> NDArray[np.bool_]:
        lone = ~self.fires
        lone[0] = False
        return lone

    def _drawn(
        self, pair: Int, uniform: Float, lit: tuple[bool, bool], among: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        index, maps = self._table(lit)
        chances = np.cumsum([np.where(among, m.probability, 0.0) for m in maps], axis=1)[index[pair]]
        passed = (uniform * chances[:, -1])[:, np.newaxis] >= chances
        # The last one that can occur, should rounding have passed them all.
        last = PATTERNS - 1 - int(np.argmax(among[::-1]))
        return np.asarray(np.minimum(passed.sum(axis=1), last), dtype=np.uint8)

    def _met(self, port: int) -> tuple[Int, Int]:
        """Per gate the packet that falls into it, and where it begins."""
        arrival, channel = self.arrival_ps(port), self.station.ports[port]
        if not arrival.size or channel is None:
            return np.full(self.gates, -1, dtype=np.int64), np.zeros(self.gates, dtype=np.int64)
        packet = meeting(arrival, self.open_ps, self.window_ps, channel.lifetime_ps)
        return packet, few_offsets(arrival[np.maximum(packet, 0)] - self.open_ps, packet >= 0)

    def _packets(self, port: int) -> Int:
        """(pairs, 2): the packet in each gate of each pair; -1: none, or no gate."""
        packet = np.append(self._packet[port], -1)
        return packet[self.pair]

    def _pulses(self, port: int) -> int:
        train = self._trains[port]
        return 1 if train is None else train.pulse_ps.shape[1]

    def _seen(self, port: int) -> Int:
        packet = self._packets(port)
        return np.where(packet >= 0, packet % self._pulses(port), -1)

    def _attempts(self, port: int) -> Int:
        packet = self._packets(port).max(axis=1, initial=-1)
        return np.where(packet >= 0, packet // self._pulses(port), -1)

    def _table(self, lit: tuple[bool, bool]) -> tuple[Int, list[DoubleClickMaps]]:
        """Per pair the number of its maps, and the maps."""
        if lit not in self._tables:
            keys: dict[tuple[object, ...], int] = {}
            index = np.zeros(self.tries, dtype=np.int64)
            lights: list[tuple[_Light, _Light, int]] = []
            for pair in range(self.tries):
                a, b = (self._light(port, pair, lit[port]) for port in range(2))
                first, second = (int(gate) for gate in self.pair[pair])
                apart_ps = int(self.open_ps[second] - self.open_ps[first]) if second >= 0 else -1
                if (a, b, apart_ps) not in keys:
                    lights.append((a, b, apart_ps))
                index[pair] = keys.setdefault((a, b, apart_ps), len(keys))
            self._tables[lit] = (index, [self._compute(*light) for light in lights])
        return self._tables[lit]

    def _light(self, port: int, pair: int, lit: bool) -> _Light:
        found: list[tuple[int, int] | None] = [None, None]
        attempts: list[int] = []
        for window, gate in enumerate(self.pair[pair].tolist()):
            packet = int(self._packet[port][gate]) if gate >= 0 and lit else -1
            if packet >= 0:
                number, pulse = divmod(packet, self._pulses(port))
                attempts.append(number)
                found[window] = (pulse, int(self._offset[port][gate]))
        return _Light(found[0], found[1], len(set(attempts)) < 2)

    def _compute(self, a: _Light, b: _Light, apart_ps: int) -> DoubleClickMaps:
        key = (a, b, apart_ps)
        if key not in self._maps:
            station = self.station
            self._maps[key] = DoubleClickMaps.compute(
                self._two_pulses(0, a),
                self._two_pulses(1, b),
                float(self.window_ps),
                station.window_visibility,
                station.dark_probability(self.window_ps),
                "det1" if station.psi_plus_on == "det1" else "det2",
                detectors=station.efficiencies,
                phase_rms_rad=station.phase_rms_rad,
                phase_correlation=exp(-max(apart_ps, 0) / station.phase_correlation_ps),
                second_window=apart_ps >= 0,
                blind=0 <= apart_ps < station.dead_time_ps,
            )
        return self._maps[key]

    def _two_pulses(self, port: int, light: _Light) -> TwoPulses:
        train, channel = self._trains[port], self.station.ports[port]
        first, second = (None if x is None else x[0] for x in (light.first, light.second))
        if train is None or channel is None or (first is None and second is None):
            dark = np.zeros((2,) * 6, dtype=np.complex128)
            dark[0, 0, 0, 0] = np.eye(2) / 2
            return TwoPulses(dark, (None, None), (0.0, 0.0))
        if light.same_attempt:
            histories = train.histories(first, second)
        else:
            # The spin was pumped in between: what the first photon knew of it is gone.
            earlier = np.einsum("abccii->ab", train.histories(first, None))
            histories = np.einsum("ab,ccdeij->abdeij", earlier, train.histories(None, second))
        efficiency, lifetime_ps = self.station.light(port, self.window_ps)
        packets = tuple(
            None if x is None else WavePacket(float(x[1]), lifetime_ps) for x in (light.first, light.second)
        )
        return TwoPulses(histories, (packets[0], packets[1]), (efficiency, efficiency), channel.double_excitation)
