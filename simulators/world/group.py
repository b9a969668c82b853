"""Pulsers that one PPS edge started together, and how far they have played.

Nodes and midpoints of one group share the rounds' starts, so that light and gates meet; what another edge started is
another group, and its light meets no gate here.
"""

from __future__ import annotations

from simulators.world.draws import BLOCK_ROUNDS
from simulators.world.node_player import NodePlayer
from simulators.world.round_slice import RoundSlice
from simulators.world.stage import Member, Stage
from simulators.world.world_context import WorldContext

__all__ = ["Group"]


class Group:
    """Pulsers that stream in step.

    Args:
        context: the world.
        members: by ``site.instrument``; all of one period.
        edge_ps: the edge that started them, from the world's start: the nominal start of round 0.
        epoch: number of the start.
    """

    def __init__(self, context: WorldContext, members: dict[str, Member], edge_ps: int, epoch: int) -> None:
        self.stage = Stage(context, members, edge_ps, epoch)
        self.members = self.stage.members
        self.edge_ps = edge_ps
        self.period_ps = self.stage.period_ps
        self.next_round = 0

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
        self.stage.refresh()
        left = [member.n_runs - self.next_round for member in self.members.values() if member.n_runs >= 0]
        first = self.next_round
        count = min([rounds, BLOCK_ROUNDS - first % BLOCK_ROUNDS, *left])
        steady = all(
            player.state.line is None or self._steady_from(player, count) for player in self.stage.nodes.values()
        )
        step = count if steady else 1
        for begin in range(first, first + count, step):
            RoundSlice(self.stage, begin, begin + step).play()
            self.next_round = begin + step

    def lit_awgs(self) -> set[str]:
        """AWGs that this group's pulsers trigger."""
        return {
            wired.awg
            for wired in self.stage.context.nodes.values()
            if wired.awg is not None and self.stage.member_of(wired.trigger) is not None
        }

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
