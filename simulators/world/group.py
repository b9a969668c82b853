"""Pulsers that one PPS edge started together, and the rounds that they play.

Rounds are played whole, in slices of one aligned block. Nodes and midpoints of one group share the rounds' starts, so
that light and gates meet; what another edge started is another group, and its light meets no gate here.

Approximations: photons outside the window are independent of what clicked inside it, and those of attempts after a
herald are left out; the logic's second firing in a round moves only AWGs that have not jumped yet; a detector's dead
time removes clicks outside the gates only, because attempts are further apart than it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qnode.clock import PS_PER_S
from simulators.kit import PulserSim
from simulators.world.draws import BLOCK_ROUNDS, Draws, Photons
from simulators.world.herald import Herald, HeraldPlayer
from simulators.world.node_player import NodePlayer
from simulators.world.noise import OrnsteinUhlenbeck, charge_check_counts
from simulators.world.rack import PulserRun, pulser_run
from simulators.world.station import DETECTOR_LEVEL_V, AttemptTrain, GatedLink, Station
from simulators.world.wiring import crosses
from simulators.world.world_context import NodeWiring, WorldContext

__all__ = ["Group", "Member"]

Int = NDArray[np.int64]


@dataclass(eq=False)
class Member:
    """One pulser of a group."""

    sim: PulserSim
    revision: int
    """Of the playback that was started."""
    start_ps: int
    """Its start, from the group's edge."""
    run: PulserRun
    n_runs: int
    output_v: float

    @property
    def period_ps(self) -> int:
        """Of a run."""
        return self.run.period_ps

    def edges(self, output: int, rising: bool = True) -> Int:
        """Edges of a digital output, from a round's nominal start."""
        return self.run.edges_ps(output, rising) + self.start_ps

    def intervals(self, output: int) -> Int:
        """Intervals (m, 2) in which a digital output is high, from a round's nominal start."""
        return self.run.high_ps[output] + self.start_ps

    @classmethod
    def started(cls, sim: PulserSim, start_ps: int) -> Member:
        """The pulser as it is being started now."""
        playback = sim.playback
        return cls(sim, playback.revision, start_ps, pulser_run(playback), playback.n_runs, playback.output_high_v)


@dataclass(eq=False)
class _Setup:
    """The rack as evaluated for the playbacks of now."""

    key: tuple[object, ...]
    nodes: dict[str, NodePlayer]
    links: dict[tuple[Hashable, ...], GatedLink] = field(default_factory=dict)


class Group:
    """Pulsers that stream in step.

    Args:
        context: the world.
        members: by ``site.instrument``; all of one period.
        edge_ps: the edge that started them, from the world's start: the nominal start of round 0.
        epoch: number of the start.
    """

    def __init__(self, context: WorldContext, members: dict[str, Member], edge_ps: int, epoch: int) -> None:
        self.members = members
        self.edge_ps = edge_ps
        self.period_ps = next(iter(members.values())).period_ps
        self.next_round = 0
        self._context = context
        self._draws = Draws(context.seed, epoch)
        self._phase = {
            station.site: OrnsteinUhlenbeck(station.phase_rms_rad, station.phase_correlation_ps)
            for station in context.stations
        }
        self._setup: _Setup | None = None

    @property
    def settled_ps(self) -> int:
        """Everything before it has been played; from the world's start."""
        return self.edge_ps + self.next_round * self.period_ps

    def rounds_until(self, time_ps: int) -> int:
        """Rounds that can be played whole by a time from the world's start."""
        return max(0, (time_ps - self.settled_ps) // self.period_ps)

    def leave_stopped(self) -> list[str]:
        """Let pulsers go that were stopped or loaded anew since; their names."""
        gone = []
        for name, member in self.members.items():
            playback = member.sim.playback
            if playback.state != "streaming" and playback.revision != member.revision:
                gone.append(name)
        for name in gone:
            del self.members[name]
        return gone

    def leave_finished(self) -> list[Member]:
        """Let pulsers go whose runs are over."""
        over = {n: m for n, m in self.members.items() if 0 <= m.n_runs <= self.next_round}
        for name in over:
            del self.members[name]
        return list(over.values())

    def play(self, rounds: int) -> None:
        """Play the next rounds: at most to the end of their block, and to the first pulser's last run."""
        left = [member.n_runs - self.next_round for member in self.members.values() if member.n_runs >= 0]
        first = self.next_round
        count = min([rounds, BLOCK_ROUNDS - first % BLOCK_ROUNDS, *left])
        setup = self._evaluate()
        steady = all(player.state.line is None or self._steady_from(player, count) for player in setup.nodes.values())
        step = count if steady else 1
        for begin in range(first, first + count, step):
            _Slice(self._context, self, setup, begin, begin + step).play()
            self.next_round = begin + step

    def lit_awgs(self) -> set[str]:
        """AWGs that this group's pulsers trigger."""
        return {
            wired.awg
            for wired in self._context.nodes.values()
            if wired.awg is not None and self.member_of(wired.trigger) is not None
        }

    def lit_nodes(self) -> dict[str, NodePlayer]:
        """The nodes of this group as evaluated now."""
        return self._evaluate().nodes

    def _steady_from(self, player: NodePlayer, count: int) -> bool:
        """Whether the next rounds' lines do not depend on events."""
        line = player.state.line
        seen = set()
        for _ in range(count):
            if line is None or line in seen:
                return True
            seen.add(line)
            if not player.steady(line):
                return False
            line = player.path(line).next_line
        return True

    def _evaluate(self) -> _Setup:
        """The rack for the playbacks of now: evaluated again only when one has changed."""
        context = self._context
        awgs = {name: awg.playback for name, awg in context.instruments.awgs.items()}
        key = (tuple(sorted(self.members)), tuple((name, id(playback)) for name, playback in awgs.items()))
        if self._setup is None or self._setup.key != key:
            nodes = {}
            for wired in context.nodes.values():
                player = self._player(wired)
                if player is not None:
                    nodes[wired.name] = player
            self._setup = _Setup(key, nodes)
        return self._setup

    def _player(self, wired: NodeWiring) -> NodePlayer | None:
        context = self._context
        if wired.awg is None or wired.rack is None:
            return None
        if self.member_of(wired.trigger) is None:
            return None
        awg = context.instruments.awgs[wired.awg]
        playback, state = awg.playback, context.awg_states[wired.awg]
        return NodePlayer(
            wired.name,
            context.world.nodes[wired.name],
            wired.rack,
            awg,
            playback,
            state,
            self._trigger_ps(wired, playback.trigger_level_v, playback.trigger_rising),
            self.period_ps,
        )

    def _trigger_ps(self, wired: NodeWiring, level_v: float, rising: bool) -> int | None:
        found = self.member_of(wired.trigger)
        if found is None or wired.trigger is None:
            return None
        member, output = found
        edges = member.edges(output, rising)
        if not edges.size or not crosses(member.output_v, level_v):
            return None
        # One trigger a round: a sequencer that is asked twice in one run is more than this world plays.
        return int(edges[0]) + wired.trigger[1]

    def member_of(self, source: tuple[str, int] | None) -> tuple[Member, int] | None:
        """The pulser of this group that an output belongs to, and the output's number."""
        if source is None:
            return None
        thing, _, connector = source[0].rpartition(".")
        member = self.members.get(thing)
        return (member, int(connector.removeprefix("d"))) if member is not None else None

    @property
    def draws(self) -> Draws:
        """Draws of this group's epoch."""
        return self._draws

    def phase(self, site: str) -> OrnsteinUhlenbeck:
        """The optical phase at a station."""
        return self._phase[site]


class _Slice:
    """Some rounds of one aligned block."""

    def __init__(self, context: WorldContext, group: Group, setup: _Setup, first: int, stop: int) -> None:
        self._context = context
        self._group = group
        self._setup = setup
        self._first = first
        self._block = first // BLOCK_ROUNDS
        self._rows = slice(first % BLOCK_ROUNDS, first % BLOCK_ROUNDS + stop - first)
        self._base = group.edge_ps + np.arange(first, stop, dtype=np.int64) * group.period_ps
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
        for name, player in self._setup.nodes.items():
            self._lines[name], self._classes[name] = player.plan(self._base)
        for station in self._context.stations:
            self._station(station)
        for herald in self._heralds:
            for name, jump in herald.jumps.items():
                if self._count == 1:
                    self._setup.nodes[name].jumped(int(self._base[0]), jump)
        for name in self._setup.nodes:
            self._local_shots(name)

    # --- pulsers and charge ----------------------------------------------------------------------------------------

    def _pulser_edges(self) -> None:
        for name, member in self._group.members.items():
            for output in range(8):
                ends = self._context.wiring.ends(f"{name}.d{output}")
                if not ends or not member.run.high_ps[output].size:
                    continue
                times = (self._base[:, np.newaxis] + member.edges(output)).ravel()
                for end in ends:
                    self._context.sink.add(end, times, member.output_v)

    def _charge(self, wired: NodeWiring) -> None:
        """The charge state of each round, and the counts of the charge check."""
        group, name = self._group, wired.name
        truth = self._context.world.nodes[name].charge
        charge, repump = group.member_of(wired.charge_light), group.member_of(wired.repump_light)
        check = _light(charge, wired.charge_light)
        repaired = _light(repump, wired.repump_light)
        before = np.zeros(self._count, dtype=np.bool_)
        during = np.zeros(self._count, dtype=np.bool_)
        if truth.ionisation_per_round > 0 and (name in self._setup.nodes or charge is not None):
            uniform = group.draws.block(f"{name}.ionisation", self._block, (), lambda g: g.random(BLOCK_ROUNDS))
            ends_dark = uniform[self._rows] < truth.ionisation_per_round
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
            photons = self._check_photons(name, number, start, stop, truth.counts_per_check)
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
        photons = self._group.draws.block(f"{name}.charge.{number}", self._block, key, draw)
        return photons.rows(self._rows.start, self._rows.stop)

    def _sideband(self, qubit: str, row: Int, t_ps: Int) -> None:
        """Photons of the sideband: ``t_ps`` at the qubit, from the nominal start of round ``row`` of the slice."""
        for end in self._context.wiring.ends(f"{qubit}.sideband"):
            self._context.sink.add(end, self._base[row] + t_ps, DETECTOR_LEVEL_V)

    # --- a node by itself ------------------------------------------------------------------------------------------

    def _local_shots(self, name: str) -> None:
        """Readouts in rounds that no event changed, and those before the jump in rounds that one did."""
        player, wired = self._setup.nodes[name], self._context.nodes[name]
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

            photons = self._group.draws.block(f"{name}.readout.{len(shots)}", self._block, path.key, draw)
            photons = photons.rows(self._rows.start, self._rows.stop)
            row = photons.row - self._rows.start
            keep = (self._classes[name][row] == number) & ~self._dark[name][row]
            for jumped_row, jump in jumps.items():
                keep &= (row != jumped_row) | (photons.t_ps < jump.at_ps)
            self._sideband(wired.qubit, row[keep], photons.t_ps[keep] + player.trigger_ps)

    # --- a midpoint with its nodes ---------------------------------------------------------------------------------

    def _station(self, station: Station) -> None:
        ports = [port.node if port is not None else None for port in station.ports]
        gated = self._group.member_of(station.gate) is not None
        if not gated and not any(name in self._setup.nodes for name in ports if name is not None):
            return
        codes = np.zeros((2, self._count), dtype=np.int64)
        for port, name in enumerate(ports):
            if name in self._setup.nodes and name is not None:
                codes[port] = np.where(self._dark[name], 0, self._classes[name])
        detectors = (_Clicks(), _Clicks())
        place = f"{station.site}.clicks"
        uniform = self._group.draws.block(place, self._block, (), lambda g: g.random((2, BLOCK_ROUNDS)))
        uniform = uniform[:, self._rows]
        last_gate = np.full(self._count, np.iinfo(np.int64).max, dtype=np.int64)
        hits: list[tuple[int, int, int, GatedLink]] = []
        links = []
        for pair in np.unique(codes, axis=1).T.tolist():
            rows = np.flatnonzero((codes[0] == pair[0]) & (codes[1] == pair[1]))
            link = self._link(station, ports, (pair[0], pair[1]))
            links.append((link, rows))
            if not link.gates:
                continue
            gate = link.first_click(uniform[0, rows])
            hit = np.flatnonzero(gate < link.gates)
            pattern = link.patterns(gate[hit], uniform[1, rows[hit]])
            hits += [
                (int(rows[i]), int(gate[i]), int(p), link)
                for i, p in zip(hit.tolist(), pattern.tolist(), strict=True)
            ]
        player = HeraldPlayer(
            self._context,
            self._group.draws,
            self._group.phase(station.site),
            station,
            self._setup.nodes,
            self._dark,
        )
        for row, gate_number, first_pattern, link in sorted(hits, key=lambda hit: hit[0]):
            lines = {name: int(self._lines[name][row]) for name in self._lines}
            herald = player.play(
                row, self._first + row, int(self._base[row]), lines, link, gate_number, first_pattern
            )
            self._heralds.append(herald)
            if herald.jumps:
                last_gate[row] = gate_number
            for detector, clicks in zip(detectors, herald.clicks_ps, strict=True):
                detector.gated += clicks
        for link, rows in links:
            self._background(station, link, rows, last_gate, detectors)
        self._darks(station, links, detectors)
        for detector, ends in zip(detectors, station.detector_ends, strict=True):
            times = detector.merged(station.dead_time_ps)
            for end in ends:
                self._context.sink.add(end, times, DETECTOR_LEVEL_V)

    def _link(self, station: Station, ports: list[str | None], pair: tuple[int, int]) -> GatedLink:
        key = (station.site, *pair)
        if key not in self._setup.links:
            found = self._group.member_of(station.gate)
            gates = np.zeros((0, 2), dtype=np.int64)
            if found is not None and station.gate is not None and crosses(found[0].output_v, 1.0):
                gates = found[0].intervals(found[1]) + station.gate[1]
            trains = [
                self._train(name, number) if name is not None and number else None
                for name, number in zip(ports, pair, strict=True)
            ]
            window = int(gates[0, 1] - gates[0, 0]) if gates.size else 1
            self._setup.links[key] = GatedLink(station, gates[:, 0], window, (trains[0], trains[1]))
        return self._setup.links[key]

    def _train(self, name: str, number: int) -> AttemptTrain | None:
        player = self._setup.nodes[name]
        segment = player.class_paths[number].attempts
        if segment is None:
            return None
        waveform = segment.waveform
        pulse = waveform.excitation
        if pulse is None:
            return None
        first_ps = player.trigger_ps + segment.start_ps + pulse.at_ps
        starts = np.array([waveform.start_ps(loop) for loop in range(segment.loops)], dtype=np.int64)
        return AttemptTrain(player.before_pulse(waveform)[0], pulse.angle_rad, starts + first_ps)

    def _background(
        self, station: Station, link: GatedLink, rows: Int, last_gate: Int, detectors: tuple[_Clicks, _Clicks]
    ) -> None:
        """Photons that click outside any gate: tags, and nothing else."""
        photons = self._group.draws.block(
            f"{station.site}.outside", self._block, link, lambda g: _outside(station, link, g)
        ).rows(self._rows.start, self._rows.stop)
        row = photons.row - self._rows.start
        gate = photons.mark >> 1
        keep = np.isin(row, rows) & (gate <= last_gate[row]) if row.size else np.zeros(0, dtype=np.bool_)
        self._loose(station, row[keep], photons.t_ps[keep], photons.mark[keep] & 1, detectors)

    def _darks(
        self, station: Station, links: list[tuple[GatedLink, Int]], detectors: tuple[_Clicks, _Clicks]
    ) -> None:
        """Dark counts outside the gates; those inside are in the maps."""
        mean = station.dark_rate_hz * self._group.period_ps / PS_PER_S
        if mean <= 0:
            return

        def draw(generator: np.random.Generator) -> Photons:
            counts = generator.poisson(2 * mean, BLOCK_ROUNDS)
            row = np.repeat(np.arange(BLOCK_ROUNDS), counts)
            times = (generator.random(row.size) * self._group.period_ps).astype(np.int64)
            return Photons(row, times, generator.integers(0, 2, row.size))

        photons = self._group.draws.block(f"{station.site}.darks", self._block, (), draw)
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
    if found is None or source is None or not crosses(found[0].output_v, 1.0):
        return np.zeros((0, 2), dtype=np.int64)
    return found[0].intervals(found[1]) + source[1]


def _outside(station: Station, link: GatedLink, generator: np.random.Generator) -> Photons:
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
            times[chosen] = link.maps_at(int(gate[chosen[0]])).arrivals.outside_times(chosen.size, generator)
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
    return Photons(row[order], times[order], mark[order])
