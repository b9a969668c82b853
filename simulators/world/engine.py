"""The engine of the simulated world: lab time goes on, PPS edges start pulsers, rounds are played, tags delivered.

`World` does one thing at a time and knows no thread; `WorldThread` drives it along a `Timeline`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from qnode.clock import PS_PER_S
from qnode.labfile import ClockFaults
from simulators.kit import PulserPlayback, PulserSim
from simulators.world.clocks import PPS_LEVEL_V, PulsePerSecond, next_edge_ps
from simulators.world.draws import BLOCK_ROUNDS
from simulators.world.group import Group
from simulators.world.sampling import rng
from simulators.world.stage import Member
from simulators.world.station import DETECTOR_LEVEL_V
from simulators.world.timeline import Timeline
from simulators.world.wiring import crosses
from simulators.world.world_context import WorldContext

__all__ = ["World", "WorldStatus", "WorldThread"]

IDLE_STEP_PS = 50_000_000_000
"""While nothing plays, the taggers hear at least every 50 ms of lab time that time has passed."""

LONGEST_STEP_PS = PS_PER_S // 2
"""Of lab time, in one step while rounds play."""

SOFTWARE_EPOCHS = 1 << 32
"""Starts by software are numbered from here, so that they leave the epochs of PPS starts alone."""

_log = logging.getLogger(__name__)

REST_S = 0.005
"""Wall time between looks at the instruments while lab time has nowhere to go."""


@dataclass(frozen=True)
class WorldStatus:
    """What the world is doing."""

    now_ps: int
    epoch: int
    """How often a PPS edge has started at least one armed pulser."""
    rounds_played: int
    """Of all groups, since the start."""
    streaming: tuple[str, ...]
    """Pulsers that stream."""
    failure: str


_Starting = tuple[PulserSim, PulserPlayback, int]
"""A pulser, the playback that starts, and when."""


@dataclass(eq=False)
class _Starts:
    """Which playback of a pulser was started last, so that it is not started twice before it says so itself."""

    revision: dict[str, int] = field(default_factory=dict)

    def may(self, sim: PulserSim, playback: PulserPlayback) -> bool:
        """Whether this playback has not been started yet."""
        return self.revision.get(sim.name) != playback.revision

    def note(self, sim: PulserSim, playback: PulserPlayback) -> None:
        """It has been now."""
        self.revision[sim.name] = playback.revision


class World:
    """The simulated world of one lab; times without ``lab`` in their names count from its start.

    Args:
        context: lab, truth, wires, instruments.
    """

    def __init__(self, context: WorldContext) -> None:
        self.context = context
        self.now_ps = 0
        self.epoch = 0
        self.rounds_played = 0
        self._software_starts = 0
        self._groups: list[Group] = []
        self._starts = _Starts()
        self._playing: dict[str, bool] = {}
        self._darks_until_ps = 0
        self.clocks: Mapping[str, PulsePerSecond] = {
            site: PulsePerSecond(0, context.world.clocks.get(site, ClockFaults()))
            for site, clock in context.lab.clocks.items()
            if clock.pps
        }

    @property
    def groups(self) -> tuple[Group, ...]:
        """Groups of pulsers that stream now."""
        return tuple(self._groups)

    def advance_to(self, time_ps: int) -> None:
        """Play everything up to a time; rounds that end later are left for the next call."""
        while self.now_ps < time_ps:
            self.step(time_ps)

    def step(self, limit_ps: int) -> None:
        """One step: to the next PPS edge, or a block of rounds, or 50 ms, but not beyond ``limit_ps``."""
        self.watch()
        edge_ps, sites = next_edge_ps(self.clocks, self.now_ps) if self.clocks else (limit_ps + 1, [])
        stop_ps = min(limit_ps, edge_ps, self.now_ps + self._longest_step())
        for group in self._groups:
            self._play(group, stop_ps)
        self._darks_until_ps = max([self._darks_until_ps, *(group.settled_ps for group in self._groups)])
        self._groups = [group for group in self._groups if group.members]
        if not self._groups:
            self._idle_darks(stop_ps)
        self.now_ps = stop_ps
        if stop_ps == edge_ps:
            self._pulse_per_second(edge_ps, sites)
        settled_ps = min([stop_ps, *(group.settled_ps for group in self._groups)])
        self.context.sink.flush(settled_ps)
        self.context.counter.flush(settled_ps)
        self._tell_awgs()

    def watch(self) -> None:
        """Look at the instruments: sequencers that were started or stopped, pulsers that software started."""
        busy = {name for group in self._groups for name in group.lit_awgs()}
        for name, awg in self.context.instruments.awgs.items():
            self.context.awg_states[name].watch(awg.playback, name in busy)
        for group in self._groups:
            group.leave_stopped()
        self._groups = [group for group in self._groups if group.members]
        for sim in self.context.instruments.pulsers.values():
            playback = sim.playback
            if playback.state == "software_start" and self._starts.may(sim, playback):
                self._software_starts += 1
                self._start([(sim, playback, self.now_ps)], self.now_ps, SOFTWARE_EPOCHS + self._software_starts)

    def _longest_step(self) -> int:
        if not self._groups:
            return IDLE_STEP_PS
        block = min(group.period_ps for group in self._groups) * BLOCK_ROUNDS
        return max(1, min(block, LONGEST_STEP_PS))

    def _play(self, group: Group, stop_ps: int) -> None:
        while group.members and (rounds := group.rounds_until(stop_ps)) > 0:
            before = group.next_round
            group.play(rounds)
            self.rounds_played += group.next_round - before
            for member in group.leave_finished():
                at_ps = group.edge_ps + member.start_ps + member.n_runs * member.period_ps
                member.sim.world_finished(member.revision, self.context.origin_ps + at_ps)

    def _pulse_per_second(self, edge_ps: int, sites: list[str]) -> None:
        """One PPS edge: tags at the taggers it reaches, and armed pulsers start."""
        starting: list[_Starting] = []
        for site in sites:
            for end in self.context.wiring.ends(f"{site}.clock.pps"):
                self.context.sink.add(end, np.array([edge_ps], dtype=np.int64), PPS_LEVEL_V)
                sim = self.context.instruments.pulsers.get(end.thing)
                if sim is None or end.connector != "trigger":
                    continue
                playback = sim.playback
                armed = playback.state == "armed" and self._starts.may(sim, playback)
                if armed and crosses(PPS_LEVEL_V, playback.trigger_threshold_v):
                    starting.append((sim, playback, edge_ps + end.delay_ps))
        if starting:
            self.epoch += 1
            self._start(starting, edge_ps, self.epoch)

    def _start(self, starting: list[_Starting], edge_ps: int, epoch: int) -> None:
        by_period: dict[int, dict[str, Member]] = {}
        for sim, playback, at_ps in starting:
            self._starts.note(sim, playback)
            member = Member.started(sim, playback, at_ps - edge_ps)
            sim.world_started(member.revision, self.context.origin_ps + at_ps)
            if member.period_ps > 0:
                by_period.setdefault(member.period_ps, {})[sim.name] = member
            else:
                sim.world_finished(member.revision, self.context.origin_ps + at_ps)
        for members in by_period.values():
            self._groups.append(Group(self.context, members, edge_ps, epoch))

    def _idle_darks(self, stop_ps: int) -> None:
        """Dark counts while nothing plays, drawn per aligned 50 ms of lab time."""
        start_ps, self._darks_until_ps = self._darks_until_ps, max(self._darks_until_ps, stop_ps)
        for station in self.context.supplies.now().stations:
            for number, (rate_hz, ends) in enumerate(zip(station.dark_rates_hz, station.detector_ends, strict=True)):
                mean = rate_hz * IDLE_STEP_PS / PS_PER_S
                for slot in range(start_ps // IDLE_STEP_PS, -(-stop_ps // IDLE_STEP_PS)):
                    generator = rng(self.context.seed, f"{station.site}.det{number}.idle", 0, slot)
                    times = np.sort(generator.integers(0, IDLE_STEP_PS, generator.poisson(mean)))
                    times = times.astype(np.int64) + slot * IDLE_STEP_PS
                    times = times[(times >= start_ps) & (times < stop_ps)]
                    self.context.counter.add(station.detectors[number], times)
                    for end in ends:
                        self.context.sink.add(end, times, DETECTOR_LEVEL_V)

    def _tell_awgs(self) -> None:
        busy = {name for group in self._groups for name in group.lit_awgs()}
        for name, awg in self.context.instruments.awgs.items():
            playing = name in busy and awg.playback.running
            if self._playing.get(name, False) != playing:
                self._playing[name] = playing
                awg.world_playing(playing)


class WorldThread:
    """Drives a `World` along a `Timeline`, in a thread of its own.

    Args:
        world: not touched by anybody else while the thread runs, except under `lock`.
        timeline: lab time.
    """

    def __init__(self, world: World, timeline: Timeline) -> None:
        self.world = world
        self.timeline = timeline
        self.lock = threading.Lock()
        self.failure = ""
        self.on_crash: Callable[[str], None] = _ignore
        """Called from the thread, with the text, when the world fails and stands still for good."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="world", daemon=True)

    def start(self) -> None:
        """Let the world run."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Let it come to rest."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def status(self) -> WorldStatus:
        """What the world is doing."""
        with self.lock:
            world = self.world
            return WorldStatus(
                now_ps=self.timeline.now_ps(),
                epoch=world.epoch,
                rounds_played=world.rounds_played,
                streaming=tuple(sorted(name for group in world.groups for name in group.members)),
                failure=self.failure,
            )

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._step()
        except Exception as error:
            # Everybody must hear of it, or they would wait for a time that never comes.
            self.failure = f"the simulated world failed: {type(error).__name__}: {error}"
            _log.exception("the simulated world failed")
            self.timeline.on_failure(self.failure)
            self.on_crash(self.failure)

    def _step(self) -> None:
        world, origin_ps = self.world, self.world.context.origin_ps
        limit_ps = self.timeline.limit_ps() - origin_ps
        if limit_ps > world.now_ps:
            with self.lock:
                world.step(limit_ps)
            self.timeline.advance(origin_ps + world.now_ps)
            if self.timeline.running_free():
                return
        else:
            with self.lock:
                world.watch()
            self.timeline.advance(origin_ps + world.now_ps)
        self.timeline.wait_for_change(REST_S)


def _ignore(text: str) -> None:
    """Nobody listens yet."""
