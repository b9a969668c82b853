"""Pulsers that stream in step, and the rack behind them as evaluated for the programs of now."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from simulators.kit import AwgPlayback, PulserPlayback, PulserSim
from simulators.world.draws import Draws
from simulators.world.drive import Drive
from simulators.world.node_player import NodePlayer
from simulators.world.noise import OrnsteinUhlenbeck
from simulators.world.paired_link import PairedLink, PulseTrain
from simulators.world.rack import PulserRun, pulser_run
from simulators.world.station import AttemptTrain, GatedLink, Station
from simulators.world.supplies import Supply
from simulators.world.wiring import crosses
from simulators.world.world_context import NodeWiring, WorldContext

__all__ = ["Member", "Stage"]

Int = NDArray[np.int64]

GATE_THRESHOLD_V = 1.0
"""Level from which on the herald logic takes its gate for open."""


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
    def started(cls, sim: PulserSim, playback: PulserPlayback, start_ps: int) -> Member:
        """A pulser that is being started with a playback of its own."""
        return cls(sim, playback.revision, start_ps, pulser_run(playback), playback.n_runs, playback.output_high_v)


@dataclass(eq=False)
class _Setup:
    """The rack as evaluated for the playbacks of now."""

    key: tuple[object, ...]
    supply: Supply
    nodes: dict[str, NodePlayer]
    links: dict[tuple[Hashable, ...], GatedLink | PairedLink] = field(default_factory=dict)


class Stage:
    """Where rounds are played.

    Args:
        context: the world.
        members: pulsers by ``site.instrument``; all of one period.
        edge_ps: the edge that started them, from the world's start: the nominal start of round 0.
        epoch: number of the start.
    """

    def __init__(self, context: WorldContext, members: dict[str, Member], edge_ps: int, epoch: int) -> None:
        self.context = context
        self.members = members
        self.edge_ps = edge_ps
        self.period_ps = next(iter(members.values())).period_ps
        self.draws = Draws(context.seed, epoch)
        self._phase = {
            station.site: OrnsteinUhlenbeck(station.phase_rms_rad, station.phase_correlation_ps)
            for station in context.supplies.now().stations
        }
        self._setup: _Setup | None = None

    def phase(self, site: str) -> OrnsteinUhlenbeck:
        """The optical phase at a station."""
        return self._phase[site]

    @property
    def nodes(self) -> Mapping[str, NodePlayer]:
        """Nodes whose AWG a pulser of this stage triggers, as of the last `refresh`."""
        return self._evaluated().nodes

    @property
    def stations(self) -> tuple[Station, ...]:
        """The midpoints, with their detectors as biased at the last `refresh`."""
        return self._evaluated().supply.stations

    def drive(self, node: str) -> Drive:
        """What the slow instruments gave a node at the last `refresh`."""
        return self._evaluated().supply.drives[node]

    def refresh(self) -> None:
        """Evaluate the rack for the playbacks of now, if one has changed; in between all stays as it is.

        Instruments change in another thread, so a slice of rounds must not look twice.
        """
        # Playbacks and supplies compare by identity; held in the key, they keep it.
        awgs = {name: awg.playback for name, awg in self.context.instruments.awgs.items()}
        supply = self.context.supplies.now()
        key = (tuple(sorted(self.members)), tuple(awgs.values()), supply)
        if self._setup is None or self._setup.key != key:
            nodes = {}
            for wired in self.context.nodes.values():
                player = self._player(wired, awgs, supply.drives[wired.name])
                if player is not None:
                    nodes[wired.name] = player
            self._setup = _Setup(key, supply, nodes)

    def _evaluated(self) -> _Setup:
        if self._setup is None:
            self.refresh()
        assert self._setup is not None
        return self._setup

    def _player(self, wired: NodeWiring, awgs: Mapping[str, AwgPlayback], drive: Drive) -> NodePlayer | None:
        context = self.context
        if wired.awg is None or wired.rack is None:
            return None
        if self.member_of(wired.trigger) is None:
            return None
        playback, state = awgs[wired.awg], context.awg_states[wired.awg]
        # The sequencer must stand in the table that is evaluated, not in one that was there before.
        state.watch(playback, playing=True)
        return NodePlayer(
            wired.name,
            context.world.nodes[wired.name],
            wired.rack,
            playback,
            drive,
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

    def link(self, station: Station, classes: tuple[int, int]) -> GatedLink | PairedLink:
        """What can click in a round.

        Args:
            station: the midpoint.
            classes: per port of its beam splitter the class of the node's line (see `NodePlayer.plan`); 0: no light.
        """
        setup = self._evaluated()
        key = (station.site, *classes)
        if key not in setup.links:
            found = self.member_of(station.gate)
            gates = np.zeros((0, 2), dtype=np.int64)
            if found is not None and station.gate is not None and crosses(found[0].output_v, GATE_THRESHOLD_V):
                gates = found[0].intervals(found[1]) + station.gate[1]
            window = int(gates[0, 1] - gates[0, 0]) if gates.size else 0
            players = [
                setup.nodes[port.node] if port is not None and number else None
                for port, number in zip(station.ports, classes, strict=True)
            ]
            if station.latches:
                pairs = [self._pulse_train(p, number) for p, number in zip(players, classes, strict=True)]
                setup.links[key] = PairedLink(station, gates[:, 0], window, (pairs[0], pairs[1]))
            else:
                trains = [self._train(p, number) for p, number in zip(players, classes, strict=True)]
                setup.links[key] = GatedLink(station, gates[:, 0], window, (trains[0], trains[1]))
        return setup.links[key]

    def _pulse_train(self, player: NodePlayer | None, number: int) -> PulseTrain | None:
        segment = player.class_paths[number].attempts if player is not None else None
        if player is None or segment is None:
            return None
        waveform = segment.waveform
        starts = np.array([waveform.start_ps(loop) for loop in range(segment.loops)], dtype=np.int64)
        pulses = np.array([pulse.at_ps for pulse in waveform.excitations], dtype=np.int64)
        first_ps = player.trigger_ps + segment.start_ps
        return PulseTrain(
            starts[:, np.newaxis] + (first_ps + pulses),
            partial(player.histories, waveform),
            partial(player.emission, waveform),
        )

    def _train(self, player: NodePlayer | None, number: int) -> AttemptTrain | None:
        segment = player.class_paths[number].attempts if player is not None else None
        if player is None or segment is None:
            return None
        waveform = segment.waveform
        pulse = waveform.excitation
        if pulse is None:
            return None
        first_ps = player.trigger_ps + segment.start_ps + pulse.at_ps
        starts = np.array([waveform.start_ps(loop) for loop in range(segment.loops)], dtype=np.int64)
        return AttemptTrain(player.before_pulse(waveform)[0], pulse.angle_rad, starts + first_ps)
