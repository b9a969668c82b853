"""The herald engine: tags of the midpoint's inputs in, decided rounds out.

It folds clicks into (round, attempt), takes the first pattern of each round that fires the line, compares it with
the tag of the herald line itself, and says how far all inputs are complete. It knows nothing of sockets or disks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drivers.roles import RawTags, RecordingStatus
from qnode.errors import InstrumentError
from qnode.heralds._ledger import ColumnArrays, Reason
from qnode.heralds._messages import Herald, Plan
from qnode.heralds._rules import BITS_A_WINDOW, rules_of
from qnode.heralds._timing import LinkTiming
from qnode.tags import Clicks, Patterns, TagBlock, WindowTrain, click_patterns, decoder, fold_relative, merge

__all__ = ["DETECTORS", "LINE", "SYNC", "Decision", "Engine", "most_credit_rounds"]

DETECTORS = (1, 2)
"""Inputs of the time controller that the detectors are on."""
SYNC = 3
LINE = 4
FORMAT: Literal["idq_u64_ref"] = "idq_u64_ref"

LINE_TOLERANCE_PS = 5_000
"""How far the line's tag may lie outside its window: tag jitter of both inputs."""
HERALD_LIFETIME_PS = 10_000_000_000_000
"""A herald is late 10 s of lab time after its click."""
LEAD_PS = HERALD_LIFETIME_PS // 2
"""So far at the most may simulated lab time run ahead of what a party has digested: else heralds would be late that
nothing has delayed."""

_Relative = dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]
"""By input: (round, picoseconds since the round's sync) of its tags."""


def most_credit_rounds(round_period_ps: int) -> int:
    """The largest credit with which a herald that was not delayed is never late."""
    return max(1, LEAD_PS // round_period_ps)


@dataclass(frozen=True, eq=False)
class Decision:
    """A range of decided rounds: the midpoint's column, its heralds, and the tags that they were decided from."""

    column: ColumnArrays
    heralds: list[Herald]
    tags: TagBlock
    """Detectors, line and round syncs, in order; times from the sync of the plan's round 0. Tags of rounds without their
    sync are not in it, they have no time: such a round is a gap, from its place to the next one's."""
    offsets_ps: NDArray[np.int64]
    """Clicks inside detection windows: from the opening of the window, those of an attempt's first window first."""


class Engine:
    """Decides the rounds of one plan.

    Args:
        plan: what is played.
        timing: where windows open.
        window_ps: width of the detection window.
        psi_plus_on: ``det1`` or ``det2``; means nothing to double click.
    """

    def __init__(self, plan: Plan, timing: LinkTiming, window_ps: int, psi_plus_on: str) -> None:
        self.plan = plan
        self.decided = 0
        rules = rules_of(plan.protocol)
        self._bells = rules.bells_on(psi_plus_on)
        self._windows = [
            WindowTrain(
                timing.click_open_ps + window * rules.window_spacing_ps,
                plan.attempt_period_ps,
                plan.attempts,
                window_ps,
            )
            for window in range(rules.windows)
        ]
        self._lines = WindowTrain(
            timing.line_open_ps - LINE_TOLERANCE_PS,
            plan.attempt_period_ps,
            plan.attempts,
            window_ps + 2 * LINE_TOLERANCE_PS,
        )
        self._origin_ps = timing.click_from_t0_ps + rules.last_window_ps
        inputs = (*DETECTORS, SYNC, LINE)
        self._decoders = {channel: decoder(FORMAT) for channel in inputs}
        self._pending: dict[int, list[tuple[NDArray[np.int64], NDArray[np.int64]]]] = {ch: [] for ch in inputs}
        self._received = dict.fromkeys(inputs, 0)

    @property
    def inputs(self) -> tuple[int, ...]:
        """Inputs that must be recorded."""
        return tuple(self._pending)

    def feed(self, raw: Sequence[RawTags]) -> None:
        """Take what the instrument sent, in any chunks.

        Raises:
            InstrumentError: another format, or an input that is none of `inputs`.
        """
        for part in raw:
            if part.format != FORMAT or part.channel not in self._decoders:
                raise InstrumentError(
                    f"the time controller sent {part.format} of input {part.channel}",
                    hint=f"{FORMAT} of the inputs {', '.join(map(str, self.inputs))} is what the engine reads",
                )
            block = self._decoders[part.channel].feed(part.data, part.channel)
            if len(block.t_ps):
                self._pending[part.channel].append((block.ref, block.t_ps))
                self._received[part.channel] += len(block.t_ps)

    def complete(self, status: RecordingStatus) -> int:
        """Rounds below this number have all their tags here."""
        arrived = all(self._received[ch] >= status.timestamps.get(ch, 0) for ch in self.inputs)
        if not arrived:
            return self.decided
        return min(self.plan.rounds, *(status.acquisitions.get(ch, 0) for ch in self.inputs))

    def decide(self, stop_round: int) -> Decision:
        """Decide all rounds from the last decided one up to ``stop_round``, which must be complete."""
        first, rounds = self.decided, stop_round - self.decided
        sync_ps, has_sync = self._syncs(first, stop_round)
        of_input = {ch: self._relative(ch, first, stop_round, sync_ps, has_sync) for ch in (*DETECTORS, LINE)}
        clicks = [self._folded(DETECTORS, of_input, window) for window in self._windows]
        patterns = self._fired([click_patterns(window, DETECTORS) for window in clicks])
        rows, first_row = np.unique(patterns.round, return_index=True)

        attempt = np.full(rounds, -1, np.int16)
        pattern = np.zeros(rounds, np.uint8)
        attempt[rows - first] = patterns.attempt[first_row]
        pattern[rows - first] = patterns.pattern[first_row]

        lines = self._folded((LINE,), of_input, self._lines)
        line_rows, line_first = np.unique(lines.round, return_index=True)
        line = np.full(rounds, -1, np.int16)
        line[line_rows - first] = lines.attempt[line_first]

        mask = np.zeros(rounds, np.uint8)
        mask[line != attempt] = Reason.LINE_DIFFERS
        mask[~has_sync] = Reason.TAG_GAP
        heralds = [
            self._herald(int(patterns.round[i]), int(patterns.attempt[i]), int(patterns.pattern[i]), int(offset))
            for i, offset in zip(first_row, patterns.first_offset_ps[first_row], strict=True)
            if patterns.pattern[i] in self._bells and mask[patterns.round[i] - first] == 0
        ]
        pattern[mask > 0] = 0
        attempt[mask > 0] = -1
        self.decided = stop_round
        timed = first + np.flatnonzero(has_sync)
        of_input[SYNC] = timed, np.zeros(len(timed), np.int64)
        tags = self._in_order(of_input, first + np.flatnonzero(~has_sync))
        offsets_ps = np.concatenate([window.offset_ps for window in clicks])
        return Decision(ColumnArrays(first, attempt, pattern, mask), heralds, tags, offsets_ps)

    def _folded(self, channels: Sequence[int], of_input: _Relative, window: WindowTrain) -> Clicks:
        """Tags of some inputs inside windows, by round, then time.

        Each input is folded by itself: only what lies in windows, mostly a small part, has to be sorted.
        """
        parts = []
        for channel in channels:
            ref, rel_ps = of_input[channel]
            parts.append(fold_relative(ref, rel_ps, np.full(len(ref), channel, np.uint8), window))
        round_, attempt, offset_ps, name = (
            np.concatenate([getattr(part, column) for part in parts])
            for column in ("round", "attempt", "offset_ps", "channel")
        )
        opened_ps = round_ * self.plan.round_period_ps + attempt.astype(np.int64) * window.period_ps
        order = np.argsort(opened_ps + offset_ps, kind="stable")  # which merges streams that are in order
        outside = sum(part.outside for part in parts)
        return Clicks(round_[order], attempt[order], offset_ps[order], name[order], outside)

    def _fired(self, windows: Sequence[Patterns]) -> Patterns:
        """Attempts with a click in each window, in order; offsets are those of the last window: it fires the line."""
        fired = windows[0]
        for number, later in enumerate(windows[1:], 1):
            earlier_key, later_key = (rows.round * self.plan.attempts + rows.attempt for rows in (fired, later))
            _, before, after = np.intersect1d(earlier_key, later_key, assume_unique=True, return_indices=True)
            pattern = fired.pattern[before] | later.pattern[after] << (BITS_A_WINDOW * number)
            fired = Patterns(
                later.round[after], later.attempt[after], pattern.astype(np.uint8), later.first_offset_ps[after]
            )
        return fired

    def _in_order(self, of_input: _Relative, untimed: NDArray[np.int64]) -> TagBlock:
        """Tags in order of time; the rounds of ``untimed`` are gaps, those side by side in one."""
        period_ps = self.plan.round_period_ps
        blocks = []
        for channel, (round_, rel_ps) in of_input.items():
            t_ps = round_ * period_ps + rel_ps
            if (t_ps[1:] < t_ps[:-1]).any():  # tags before their round's sync, or of more than one start
                t_ps.sort()
            blocks.append(TagBlock(t_ps, np.full(len(t_ps), channel, np.uint8)))
        tags = merge(blocks)
        starts = untimed[np.diff(untimed, prepend=-2) > 1]
        stops = untimed[np.diff(untimed, append=self.plan.rounds + 1) > 1] + 1
        return TagBlock(tags.t_ps, tags.channel, np.column_stack((starts, stops)) * period_ps)

    def _herald(self, round_: int, attempt: int, pattern: int, offset_ps: int) -> Herald:
        plan = self.plan
        click = self._origin_ps + round_ * plan.round_period_ps + attempt * plan.attempt_period_ps + offset_ps
        return Herald(
            plan_id=plan.plan_id,
            round=round_,
            attempt=attempt,
            pattern=pattern,
            bell=self._bells[pattern],
            click_ps=click,
            valid_until_ps=click + HERALD_LIFETIME_PS,
        )

    def _syncs(self, first: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Stamp of each round's sync, and whether there is exactly one."""
        ref, t_ps = self._take(SYNC, first, stop)
        at = np.zeros(stop - first, np.int64)
        at[ref - first] = t_ps
        return at, np.bincount(ref - first, minlength=stop - first) == 1

    def _relative(
        self, channel: int, first: int, stop: int, sync_ps: NDArray[np.int64], has_sync: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tags of an input, as they came, as (round, picoseconds since the round's sync).

        Stamps may count from the start of the recording or of each sub-acquisition: the sync is in the same count.
        """
        ref, t_ps = self._take(channel, first, stop)
        row = ref - first
        if not has_sync.all():
            good = has_sync[row]
            ref, t_ps, row = ref[good], t_ps[good], row[good]
        return ref, t_ps - sync_ps[row]

    def _take(self, channel: int, first: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tags of one input in [first, stop); later ones stay pending."""
        parts = self._pending[channel]
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        ref, t_ps = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        self._pending[channel] = []
        if first <= ref.min() and ref.max() < stop:  # mostly
            return ref, t_ps
        later = ref >= stop
        if later.any():
            self._pending[channel] = [(ref[later], t_ps[later])]
        now = ~later & (ref >= first)
        return ref[now], t_ps[now]
