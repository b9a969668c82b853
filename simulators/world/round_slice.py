"""Rounds of one aligned block, played whole: edges, photons, clicks, heralds.

Approximations: photons outside the window are independent of what clicked inside it, and those of attempts after a
herald are left out; the logic's second firing in a round moves only AWGs that have not jumped yet; a detector's dead
time removes clicks outside the gates only, because attempts are further apart than it (the two gates of a latch's pair
may not be: see `DoubleClickMaps`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qnode.clock import PS_PER_S
from simulators.world.draws import BLOCK_ROUNDS, Photons
from simulators.world.gate import GatePlayer
from simulators.world.herald import Herald
from simulators.world.latch import LatchPlayer
from simulators.world.node_player import NodePlayer
from simulators.world.noise import charge_check_counts
from simulators.world.paired_link import PairedLink
from simulators.world.stage import Member, Stage
from simulators.world.station import DETECTOR_LEVEL_V, GatedLink, Station
from simulators.world.wiring import crosses
from simulators.world.world_context import NodeWiring

__all__ = ["RoundSlice"]

Int = NDArray[np.int64]

_Hit = tuple[int, int, int, GatedLink | PairedLink]
"""Row of the slice, gate or pair of gates, pattern, link."""

LIGHT_THRESHOLD_V = 1.0
"""Level from which on a light's switch is on."""


class RoundSlice:
    """Some rounds of one aligned block.

    Args:
        stage: where they are played.
        first: number of the first round.
        stop: number after the last one.
    """

    def __init__(self, stage: Stage, first: int, stop: int) -> None:
        self._context = stage.context
        self._stage = stage
        self._nodes = stage.nodes
        self._first = first
        self._block = first // BLOCK_ROUNDS
        self._rows = slice(first % BLOCK_ROUNDS, first % BLOCK_ROUNDS + stop - first)
        self._base = stage.edge_ps + np.arange(first, stop, dtype=np.int64) * stage.period_ps
        self._count = stop - first
        self._lines: dict[str, Int] = {}
        self._classes: dict[str, Int] = {}
        self._dark: dict[str, NDArray[np.bool_]] = {}
        self._heralds: list[Herald] = []

    def play(self) -> None:
        """Play them: tags into the sink, sequencers and charge states moved on."""
        self._pulser_edges()
        for wired in self._context.nodes.values():
            self._charge(wired)
        for name, player in self._nodes.items():
            self._lines[name], self._classes[name] = player.plan(self._base)
        for station in self._stage.stations:
            self._station(station)
        for herald in self._heralds:
            for name, jump in herald.jumps.items():
                if self._count == 1:
                    self._nodes[name].jumped(int(self._base[0]), jump)
        for name in self._nodes:
            self._local_shots(name)

    # --- pulsers and charge ----------------------------------------------------------------------------------------

    def _pulser_edges(self) -> None:
        for name, member in self._stage.members.items():
            for output in range(8):
                taggers = self._context.instruments.taggers
                ends = [end for end in self._context.wiring.ends(f"{name}.d{output}") if end.thing in taggers]
                if not ends or not member.run.high_ps[output].size:
                    continue
                times = (self._base[:, np.newaxis] + member.edges(output)).ravel()
                for end in ends:
                    self._context.sink.add(end, times, member.output_v)

    def _charge(self, wired: NodeWiring) -> None:
        """The charge state of each round, and the counts of the charge check."""
        stage, name = self._stage, wired.name
        truth = self._context.world.nodes[name].charge
        charge, repump = stage.member_of(wired.charge_light), stage.member_of(wired.repump_light)
        check = _light(charge, wired.charge_light)
        drive = stage.drive(name)
        repaired = _light(repump if drive.repumps else None, wired.repump_light)
        before = np.zeros(self._count, dtype=np.bool_)
        during = np.zeros(self._count, dtype=np.bool_)
        if truth.ionisation_per_round > 0 and (name in self._nodes or charge is not None):
            uniform = stage.draws.block(f"{name}.ionisation", self._block, (), lambda g: g.random(BLOCK_ROUNDS))
            # It is the resonant light that ionises.
            ends_dark = (uniform[self._rows] < truth.ionisation_per_round) & (drive.resonant > 0)
            dark = self._context.ionised[name]
            early = bool(repaired.size) and (not check.size or repaired[0, 0] <= check[0, 0])
            for row, ionised in enumerate(ends_dark.tolist()):
                before[row] = dark and not early
                dark = dark and not repaired.size
                during[row] = dark
                dark = dark or ionised
            self._context.ionised[name] = dark
        elif repaired.size:
            self._context.ionised[name] = False
        else:
            before[:] = during[:] = self._context.ionised[name]
        self._dark[name] = during
        for number, (start, stop) in enumerate(check.tolist()):
            photons = self._check_photons(name, number, start, stop, truth.counts_per_check * drive.scattering)
            keep = ~before[photons.row - self._rows.start]
            self._sideband(wired.qubit, photons.row[keep] - self._rows.start, photons.t_ps[keep])

    def _check_photons(self, name: str, number: int, start: int, stop: int, counts_per_check: float) -> Photons:
        def draw(generator: np.random.Generator) -> Photons:
            counts = charge_check_counts(
                counts_per_check, stop - start, np.ones(BLOCK_ROUNDS, dtype=np.bool_), generator
            )
            row = np.repeat(np.arange(BLOCK_ROUNDS), counts)
            times = start + (generator.random(row.size) * (stop - start)).astype(np.int64)
            return Photons(row, times, np.zeros(row.size, dtype=np.int64))

        key = (start, stop, counts_per_check)
        photons = self._stage.draws.block(f"{name}.charge.{number}", self._block, key, draw)
        return photons.rows(self._rows.start, self._rows.stop)

    def _sideband(self, qubit: str, row: Int, t_ps: Int) -> None:
        """Photons of the sideband: ``t_ps`` at the qubit, from the nominal start of round ``row`` of the slice."""
        for end in self._context.wiring.ends(f"{qubit}.sideband"):
            self._context.sink.add(end, self._base[row] + t_ps, DETECTOR_LEVEL_V)

    # --- a node by itself ------------------------------------------------------------------------------------------

    def _local_shots(self, name: str) -> None:
        """Readouts in rounds that no event changed, and those before the jump in rounds that one did."""
        player, wired = self._nodes[name], self._context.nodes[name]
        jumps = {herald.row: herald.jumps[name] for herald in self._heralds if name in herald.jumps}
        for number in np.unique(self._classes[name]).tolist():
            path = player.class_paths[number]
            shots = player.shots(path)
            if not shots:
                continue

            def draw(generator: np.random.Generator, player: NodePlayer = player, shots: list = shots) -> Photons:  # type: ignore[type-arg]
                uniform = generator.random((BLOCK_ROUNDS, len(shots)))
                operator = player.operator(shots[0])
                # Of the spin at the round's start nothing is known.
                first = uniform[:, 0] < (operator[0, 0].real + operator[1, 1].real) / 2
                counts = player.counts(shots, player.chain(shots, first, uniform), generator)
                row, times = player.photon_times(shots, counts, generator)
                return Photons(row, times, np.zeros(row.size, dtype=np.int64))

            photons = self._stage.draws.block(f"{name}.readout.{len(shots)}", self._block, path.key, draw)
            photons = photons.rows(self._rows.start, self._rows.stop)
            row = photons.row - self._rows.start
            keep = (self._classes[name][row] == number) & ~self._dark[name][row]
            for jumped_row, jump in jumps.items():
                keep &= (row != jumped_row) | (photons.t_ps < jump.at_ps)
            self._sideband(wired.qubit, row[keep], photons.t_ps[keep] + player.trigger_ps)

    # --- a midpoint with its nodes ---------------------------------------------------------------------------------

    def _station(self, station: Station) -> None:
        ports = [port.node if port is not None else None for port in station.ports]
        gated = self._stage.member_of(station.gate) is not None
        if not gated and not any(name in self._nodes for name in ports if name is not None):
            return
        codes = np.zeros((2, self._count), dtype=np.int64)
        for port, name in enumerate(ports):
            if name in self._nodes and name is not None:
                codes[port] = np.where(self._dark[name], 0, self._classes[name])
        detectors = (_Clicks(), _Clicks())
        links, hits = self._hits(station, codes)
        first_try = np.full(self._count, np.iinfo(np.int64).max, dtype=np.int64)
        for row, number, _, _ in hits:
            first_try[row] = number
        last_gate = self._play_hits(station, hits, detectors)
        for link, rows in links:
            if isinstance(link, PairedLink):
                self._lone_clicks(station, link, rows, first_try, detectors)
            self._background(station, link, rows, last_gate, detectors)
        self._darks(station, links, detectors)
        for detector, element, ends in zip(detectors, station.detectors, station.detector_ends, strict=True):
            times = detector.merged(station.dead_time_ps)
            self._context.counter.add(element, times)
            for end in ends:
                self._context.sink.add(end, times, DETECTOR_LEVEL_V)

    def _hits(self, station: Station, codes: Int) -> tuple[list[tuple[GatedLink | PairedLink, Int]], list[_Hit]]:
        """The links of a slice with their rows; and per row in which the logic fires: row, gate (or pair), pattern."""
        place = f"{station.site}.clicks"
        uniform = self._stage.draws.block(place, self._block, (), lambda g: g.random((2, BLOCK_ROUNDS)))
        uniform = uniform[:, self._rows]
        hits: list[_Hit] = []
        links = []
        for pair in np.unique(codes, axis=1).T.tolist():
            rows = np.flatnonzero((codes[0] == pair[0]) & (codes[1] == pair[1]))
            link = self._stage.link(station, (pair[0], pair[1]))
            links.append((link, rows))
            if not link.gates:
                continue
            gate = link.first_click(uniform[0, rows])
            hit = np.flatnonzero(gate < link.tries)
            pattern = link.patterns(gate[hit], uniform[1, rows[hit]])
            hits += [
                (int(rows[i]), int(gate[i]), int(p), link)
                for i, p in zip(hit.tolist(), pattern.tolist(), strict=True)
            ]
        return links, sorted(hits, key=lambda hit: hit[0])

    def _play_hits(self, station: Station, hits: list[_Hit], detectors: tuple[_Clicks, _Clicks]) -> Int:
        """Play the rounds in which the logic fires; per row of the slice the last gate that counts."""
        last_gate = np.full(self._count, np.iinfo(np.int64).max, dtype=np.int64)
        behind = (self._context, self._stage.draws, self._stage.phase(station.site), station, self._nodes, self._dark)
        gated_player, latch_player = GatePlayer(*behind), LatchPlayer(*behind)
        for row, gate_number, first_pattern, link in hits:
            lines = {name: int(self._lines[name][row]) for name in self._lines}
            at = (row, self._first + row, int(self._base[row]), lines)
            if isinstance(link, PairedLink):
                herald = latch_player.play(*at, link, gate_number, first_pattern)
            else:
                herald = gated_player.play(*at, link, gate_number, first_pattern)
            self._heralds.append(herald)
            if herald.jumps:
                last_gate[row] = link.last_gate(gate_number)
            for detector, clicks in zip(detectors, herald.clicks_ps, strict=True):
                detector.gated += clicks
        return last_gate

    def _lone_clicks(
        self, station: Station, link: PairedLink, rows: Int, first_try: Int, detectors: tuple[_Clicks, _Clicks]
    ) -> None:
        """Clicks in pairs of gates before the latch fires for the first time: tags, and nothing else."""
        photons = self._stage.draws.block(
            f"{station.site}.lone", self._block, link, lambda g: link.lone_clicks(BLOCK_ROUNDS, g)
        ).rows(self._rows.start, self._rows.stop)
        row = photons.row - self._rows.start
        keep = np.isin(row, rows) & (photons.mark >> 1 < first_try[row])
        for number, detector in enumerate(detectors):
            chosen = keep & (photons.mark & 1 == number)
            to_logic_ps = station.to_logic_ps[number] or 0
            detector.gated += (self._base[row[chosen]] + photons.t_ps[chosen] - to_logic_ps).tolist()

    def _background(
        self,
        station: Station,
        link: GatedLink | PairedLink,
        rows: Int,
        last_gate: Int,
        detectors: tuple[_Clicks, _Clicks],
    ) -> None:
        """Photons that click outside any gate: tags, and nothing else."""
        photons = self._stage.draws.block(
            f"{station.site}.outside", self._block, link, lambda g: _outside(station, link, g)
        ).rows(self._rows.start, self._rows.stop)
        row = photons.row - self._rows.start
        gate = photons.mark >> 1
        keep = np.isin(row, rows) & (gate <= last_gate[row]) if row.size else np.zeros(0, dtype=np.bool_)
        self._loose(station, row[keep], photons.t_ps[keep], photons.mark[keep] & 1, detectors)

    def _darks(
        self, station: Station, links: list[tuple[GatedLink | PairedLink, Int]], detectors: tuple[_Clicks, _Clicks]
    ) -> None:
        """Dark counts outside the gates; those inside are in the maps."""
        rates_hz = station.dark_rates_hz
        mean = max(rates_hz) * self._stage.period_ps / PS_PER_S
        if mean <= 0:
            return
        kept = (rates_hz[0] / max(rates_hz), rates_hz[1] / max(rates_hz))

        def draw(generator: np.random.Generator) -> Photons:
            counts = generator.poisson(2 * mean, BLOCK_ROUNDS)
            row = np.repeat(np.arange(BLOCK_ROUNDS), counts)
            times = (generator.random(row.size) * self._stage.period_ps).astype(np.int64)
            return _thinned(Photons(row, times, generator.integers(0, 2, row.size)), kept, generator)

        photons = self._stage.draws.block(f"{station.site}.darks", self._block, rates_hz, draw)
        photons = photons.rows(self._rows.start, self._rows.stop)
        link = links[0][0]
        before = np.searchsorted(link.open_ps, photons.t_ps, side="right") - 1
        outside = np.ones(photons.t_ps.size, dtype=np.bool_)
        if link.gates:
            outside = (before < 0) | (photons.t_ps >= link.open_ps[np.maximum(before, 0)] + link.window_ps)
        row = photons.row - self._rows.start
        self._loose(station, row[outside], photons.t_ps[outside], photons.mark[outside], detectors)

    def _loose(self, station: Station, row: Int, t_ps: Int, which: Int, detectors: tuple[_Clicks, _Clicks]) -> None:
        for number, detector in enumerate(detectors):
            chosen = which == number
            # Times are those at the herald logic; the detector's output is earlier by its wire.
            to_logic_ps = station.to_logic_ps[number] or 0
            detector.loose.append(self._base[row[chosen]] + t_ps[chosen] - to_logic_ps)


class _Clicks:
    """Clicks of one detector, at its output, from the world's start."""

    def __init__(self) -> None:
        self.gated: list[int] = []
        self.loose: list[Int] = []

    def merged(self, dead_time_ps: int) -> Int:
        """All clicks; loose ones within the dead time of another click are lost."""
        gated = np.sort(np.array(self.gated, dtype=np.int64))
        loose = np.sort(np.concatenate(self.loose)) if self.loose else np.zeros(0, dtype=np.int64)
        if loose.size:
            keep = np.concatenate([[True], np.diff(loose) >= dead_time_ps])
            if gated.size:
                after = np.minimum(np.searchsorted(gated, loose), gated.size - 1)
                before = np.maximum(after - 1, 0)
                keep &= np.abs(gated[after] - loose) >= dead_time_ps
                keep &= np.abs(gated[before] - loose) >= dead_time_ps
            loose = loose[keep]
        return np.concatenate([gated, loose])


def _light(found: tuple[Member, int] | None, source: tuple[str, int] | None) -> Int:
    """Intervals of a light at the qubit, from a round's nominal start; shape (m, 2)."""
    if found is None or source is None or not crosses(found[0].output_v, LIGHT_THRESHOLD_V):
        return np.zeros((0, 2), dtype=np.int64)
    return found[0].intervals(found[1]) + source[1]


def _thinned(photons: Photons, kept: tuple[float, float], generator: np.random.Generator) -> Photons:
    """Those that either detector, the lowest bit of the mark, clicks at with its own probability."""
    if kept == (1.0, 1.0):
        return photons
    chosen = generator.random(photons.mark.size) < np.array(kept)[photons.mark & 1]
    return Photons(photons.row[chosen], photons.t_ps[chosen], photons.mark[chosen])


def _outside(station: Station, link: GatedLink | PairedLink, generator: np.random.Generator) -> Photons:
    """Photons of a block that click outside the gates: times at the herald logic, marks 2 x gate + detector."""
    parts: list[tuple[Int, Int, Int]] = []
    rates = link.outside
    total = float(rates.sum())
    if total > 0:
        counts = generator.poisson(total, BLOCK_ROUNDS)
        row = np.repeat(np.arange(BLOCK_ROUNDS), counts)
        gate = np.searchsorted(np.cumsum(rates), generator.random(row.size) * total, side="right")
        gate = np.minimum(gate, link.gates - 1)
        times = np.zeros(row.size, dtype=np.int64)
        kinds = link.kinds()[gate]
        for kind in np.unique(kinds).tolist():
            chosen = np.flatnonzero(kinds == kind)
            times[chosen] = link.arrivals_at(int(gate[chosen[0]])).outside_times(chosen.size, generator)
        parts.append((row, link.open_ps[gate] + times, gate))
    for port in range(2):
        attempts, channel = link.ungated[port], station.ports[port]
        rate = link.emission_probability(port) * attempts.size
        if rate <= 0 or channel is None:
            continue
        counts = generator.poisson(rate, BLOCK_ROUNDS)
        row = np.repeat(np.arange(BLOCK_ROUNDS), counts)
        arrival = link.arrival_ps(port)[attempts[generator.integers(0, attempts.size, row.size)]]
        times = arrival + np.rint(generator.exponential(channel.lifetime_ps, row.size)).astype(np.int64)
        gate = np.maximum(np.searchsorted(link.open_ps, times) - 1, 0)
        parts.append((row, times, gate))
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Photons(empty, empty, empty)
    row, times, gate = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    mark = 2 * gate + generator.integers(0, 2, row.size)
    return _thinned(Photons(row[order], times[order], mark[order]), station.efficiencies, generator)
