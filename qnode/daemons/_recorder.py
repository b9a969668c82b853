"""A node's own record of its rounds, from its tagger alone: no socket, no instrument, no herald message.

Inputs of the tagger: 1 readout photons, 2 round sync, 3 herald line, 4 pulse per second.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from qnode.errors import QnodeError
from qnode.heralds import ColumnArrays, NodeRow, NodeWindows, Plan, Reason
from qnode.tags import TagBlock, WindowTrain, fold_relative

__all__ = ["LINE", "PHOTONS", "PPS", "SYNC", "NodeRecorder", "PpsError", "PpsLabels", "ShotCounter"]

PHOTONS, SYNC, LINE, PPS = 1, 2, 3, 4
PS_PER_S = 1_000_000_000_000

SYNC_TOLERANCE_PS = 20_000
"""A round sync may lie this far from where the pulse per second puts it: stamps of 2 ns, jitter, cable error."""
LINE_TOLERANCE_PS = 10_000
PPS_TOLERANCE_PS = 1_000_000
"""Two pulses per second further from a whole second than this are a clock fault."""
PULSES_KEPT = 4096
"""A daemon runs for weeks; rounds are recorded minutes after they were played at the latest."""

Int64 = NDArray[np.int64]


class PpsError(QnodeError):
    """The pulse per second can't be labelled."""

    code = "pps"


class PpsLabels:
    """Which tag of the pulse per second is which TAI second.

    The first is labelled by lab time, the others by counting; whoever reads them checks a label against lab time.
    """

    def __init__(self) -> None:
        self.last_label: int | None = None
        """TAI second of the last pulse."""
        self.last_ps = 0
        """Its tag."""
        self.faults: list[str] = []
        self._good: deque[int] = deque(maxlen=PULSES_KEPT)
        self._stray: deque[int] = deque(maxlen=PULSES_KEPT)

    def feed(self, t_ps: Int64, now_tai_s: float) -> None:
        """Take the pulses of a block, in order.

        Args:
            t_ps: their tags.
            now_tai_s: lab time when the block was read, seconds.
        """
        for tag in t_ps.tolist():
            if self.last_label is None:
                # Lab time is that of the block's last pulse: several may have come in the first block.
                self.last_label = int(now_tai_s) - round((int(t_ps[-1]) - tag) / PS_PER_S)
            else:
                seconds = round((tag - self.last_ps) / PS_PER_S)
                off_ps = tag - self.last_ps - seconds * PS_PER_S
                if seconds == 0 or abs(off_ps) > PPS_TOLERANCE_PS:
                    after_s = (tag - self.last_ps) / PS_PER_S
                    self.faults.append(f"a pulse per second came {after_s:.6f} s after the one of {self.last_label}")
                    self._stray.append(tag)
                    continue
                if seconds > 1:
                    self.faults.append(f"{seconds - 1} pulse(s) per second missing after {self.last_label}")
                self.last_label += seconds
            self.last_ps = tag
            self._good.append(tag)

    def check(self, now_tai_s: float, tolerance_s: float = 0.3) -> int:
        """The label of the last pulse, if lab time agrees with it.

        Raises:
            PpsError: no pulse yet, or lab time is further from the label than a second and the tolerance.
        """
        if self.last_label is None:
            raise PpsError(
                "no pulse per second has come", hint="look at the wire from the site's clock to its tagger"
            )
        age_s = now_tai_s - self.last_label
        if not -tolerance_s <= age_s <= 1 + tolerance_s:
            raise PpsError(
                f"the last pulse per second is labelled {self.last_label}, but lab time is {now_tai_s:.3f}",
                hint="the pulse is missing, or the two sources of time disagree by a second",
            )
        return self.last_label

    def tag_of(self, tai_s: int) -> int:
        """Where the pulse of a TAI second is, or will be, on the tagger's scale.

        Raises:
            PpsError: no pulse has come yet.
        """
        if self.last_label is None:
            raise PpsError(
                "no pulse per second has come", hint="look at the wire from the site's clock to its tagger"
            )
        return self.last_ps + (tai_s - self.last_label) * PS_PER_S

    def doubtful(self, moments_ps: Int64) -> NDArray[np.bool_]:
        """Which moments lie in a second that did not begin with its pulse, or come within one after a stray pulse.

        Args:
            moments_ps: on the tagger's scale, shape (n,); all pulses before them must have been fed.
        """
        good, stray = np.array(self._good, np.int64), np.array(self._stray, np.int64)
        before = np.searchsorted(good, moments_ps, side="right") - 1
        age = moments_ps - good[np.maximum(before, 0)] if len(good) else np.zeros_like(moments_ps)
        doubtful = (before < 0) | (age > PS_PER_S + PPS_TOLERANCE_PS)
        if len(stray):
            before = np.searchsorted(stray, moments_ps, side="right") - 1
            doubtful |= (before >= 0) & (moments_ps - stray[np.maximum(before, 0)] < PS_PER_S)
        return doubtful


class NodeRecorder:
    """Folds a node's tags into its rounds of one plan.

    Args:
        plan: what is played.
        node: whose rounds.
        windows: where to look.
        labels: the pulses per second of the same tagger, fed before this recorder.
        first_sync_ps: where the sync of round 0 must be on the tagger's scale.
        charge_threshold: fewer charge-check counts mask the round; without a charge slot it means nothing.
        readout_threshold: counts from which on a readout says bright.
        signs: basis to the sign that turns bright = +1, dark = -1 into the outcome right after the herald.
    """

    def __init__(
        self,
        plan: Plan,
        node: str,
        windows: NodeWindows,
        labels: PpsLabels,
        *,
        first_sync_ps: int,
        charge_threshold: float,
        readout_threshold: float,
        signs: dict[str, int],
    ) -> None:
        self.plan = plan
        self.recorded = 0
        self._bases = plan.bases[node]
        self._windows = windows
        self._labels = labels
        self._first_sync_ps = first_sync_ps
        self._charge_threshold = charge_threshold
        self._readout_threshold = readout_threshold
        self._signs = signs
        self._lines = WindowTrain(
            windows.line_open_ps - LINE_TOLERANCE_PS,
            plan.attempt_period_ps,
            plan.attempts,
            windows.line_width_ps + 2 * LINE_TOLERANCE_PS,
        )
        self._parts: list[tuple[Int64, NDArray[np.uint8]]] = []
        self._gaps: list[tuple[int, int]] = []
        self._horizon_ps = 0

    def feed(self, block: TagBlock, horizon_ps: int) -> None:
        """Take tags in order; ``horizon_ps``: no earlier tag will come."""
        keep = block.channel != PPS
        if keep.all():  # mostly; no copy then
            self._parts.append((block.t_ps, block.channel))
        elif keep.any():
            self._parts.append((block.t_ps[keep], block.channel[keep]))
        self._gaps.extend((int(a), int(b)) for a, b in block.gaps)
        self._horizon_ps = max(self._horizon_ps, horizon_ps)

    def complete(self) -> int:
        """Rounds below this number can have no further tag."""
        since = self._horizon_ps - self._end_of_round(0)
        if since < 0:
            return self.recorded
        return min(self.plan.rounds, since // self.plan.round_period_ps + 1)

    def record(self, stop_round: int) -> tuple[ColumnArrays, list[NodeRow]]:
        """The column and the readouts of the rounds from the last recorded one up to ``stop_round``."""
        first, rounds = self.recorded, stop_round - self.recorded
        t_ps, channel = self._take(self._end_of_round(stop_round - 1))
        expected = self._first_sync_ps + np.arange(first, stop_round, dtype=np.int64) * self.plan.round_period_ps
        photons = t_ps[channel == PHOTONS]
        mask = np.zeros(rounds, np.uint8)

        charge = _count(
            photons,
            expected + self._windows.charge_open_ps,
            expected + self._windows.charge_close_ps,
        )
        if self._windows.charge_close_ps > self._windows.charge_open_ps:
            mask[charge < self._charge_threshold] = Reason.CHARGE
        mask[self._labels.doubtful(expected)] = Reason.CLOCK_FAULT
        opens = expected + self._windows.charge_open_ps
        mask[_touched(opens, self.plan.round_period_ps, self._gaps)] = Reason.TAG_GAP
        sync = self._syncs(t_ps[channel == SYNC], expected, mask)

        attempt = self._line_attempts(t_ps[channel == LINE], sync)
        rows = self._rows(first, attempt, sync, charge, photons)
        self.recorded = stop_round
        return ColumnArrays(first, attempt, np.zeros(rounds, np.uint8), mask), rows

    def _end_of_round(self, round_: int) -> int:
        """After this time no tag belongs to a round: its branch is over, the next charge slot has begun."""
        period = self.plan.round_period_ps
        return self._first_sync_ps + (round_ + 1) * period + self._windows.charge_open_ps

    def _take(self, stop_ps: int) -> tuple[Int64, NDArray[np.uint8]]:
        """Tags before a moment; the others wait."""
        if not self._parts:
            return np.zeros(0, np.int64), np.zeros(0, np.uint8)
        t_ps = np.concatenate([part[0] for part in self._parts])
        channel = np.concatenate([part[1] for part in self._parts])
        cut = int(np.searchsorted(t_ps, stop_ps))
        self._parts = [(t_ps[cut:], channel[cut:])] if cut < len(t_ps) else []
        return t_ps[:cut], channel[:cut]

    def _syncs(self, tags: Int64, expected: Int64, mask: NDArray[np.uint8]) -> Int64:
        """Each round's own sync; rounds without one at its place are masked, and stray syncs mask all they touch."""
        if not len(tags):
            mask[mask == 0] = Reason.CLOCK_FAULT
            return expected
        near = np.clip(np.searchsorted(tags, expected - SYNC_TOLERANCE_PS), 0, len(tags) - 1)
        sync = tags[near]
        wrong = np.abs(sync - expected) > SYNC_TOLERANCE_PS
        mask[wrong & (mask == 0)] = Reason.CLOCK_FAULT
        count = _count(
            tags,
            expected + self._windows.charge_open_ps,
            expected + self._windows.charge_open_ps + self.plan.round_period_ps,
        )
        mask[(count != 1) & (mask == 0)] = Reason.CLOCK_FAULT
        return np.where(wrong, expected, sync)

    def _line_attempts(self, tags: Int64, sync: Int64) -> NDArray[np.int16]:
        """Attempt of the first herald line in each round, -1 for none."""
        attempt = np.full(len(sync), -1, np.int16)
        index = np.searchsorted(sync, tags, side="right") - 1
        inside = index >= 0
        index, rel = index[inside], tags[inside] - sync[index[inside]]
        clicks = fold_relative(index, rel, np.full(len(index), LINE, np.uint8), self._lines, backend="numpy")
        rows, where = np.unique(clicks.round, return_index=True)
        attempt[rows] = clicks.attempt[where]
        return attempt

    def _rows(
        self, first: int, attempt: NDArray[np.int16], sync: Int64, charge: Int64, photons: Int64
    ) -> list[NodeRow]:
        index = np.flatnonzero(attempt >= 0)
        branch = sync[index] + (attempt[index].astype(np.int64) + 1) * self.plan.attempt_period_ps
        counts = _count(photons, branch + self._windows.readout_open_ps, branch + self._windows.readout_close_ps)
        rows = []
        for i, n in zip(index.tolist(), counts.tolist(), strict=True):
            basis = self._bases[(first + i) % len(self._bases)]
            bright = n >= self._readout_threshold
            outcome = self._signs[basis] if bright else -self._signs[basis]
            rows.append(NodeRow(first + i, int(attempt[i]), basis, int(charge[i]), n, bright, outcome))
        return rows


class ShotCounter:
    """Photons of each readout shot of a calibration plan.

    Args:
        plan: the calibration.
        windows: readout windows from the round sync's tag, (open, close) a shot.
        first_sync_ps: where the sync of round 0 must be.
    """

    def __init__(self, plan: Plan, windows: list[tuple[int, int]], first_sync_ps: int) -> None:
        self._plan = plan
        self._open = np.array([w[0] for w in windows], np.int64)
        self._close = np.array([w[1] for w in windows], np.int64)
        self._first_sync_ps = first_sync_ps
        self._photons: list[Int64] = []
        self._syncs: list[Int64] = []
        self._gaps: list[tuple[int, int]] = []
        self._horizon_ps = 0

    def feed(self, block: TagBlock, horizon_ps: int) -> None:
        """Take tags in order; ``horizon_ps``: no earlier tag will come."""
        self._photons.append(block.t_ps[block.channel == PHOTONS])
        self._syncs.append(block.t_ps[block.channel == SYNC])
        self._gaps.extend((int(a), int(b)) for a, b in block.gaps)
        self._horizon_ps = max(self._horizon_ps, horizon_ps)

    @property
    def done(self) -> bool:
        """Whether all rounds are over."""
        return self._horizon_ps >= self._first_sync_ps + self._plan.rounds * self._plan.round_period_ps

    def counts(self) -> Int64:
        """Counts, shape (rounds that had their sync and no tag gap, shots a round)."""
        syncs, photons = np.concatenate(self._syncs), np.concatenate(self._photons)
        expected = self._first_sync_ps + np.arange(self._plan.rounds, dtype=np.int64) * self._plan.round_period_ps
        if not len(syncs):
            return np.zeros((0, len(self._open)), np.int64)
        near = np.clip(np.searchsorted(syncs, expected - SYNC_TOLERANCE_PS), 0, len(syncs) - 1)
        good = np.abs(syncs[near] - expected) <= SYNC_TOLERANCE_PS
        good &= ~_touched(expected, self._plan.round_period_ps, self._gaps)
        at = syncs[near][good][:, None]
        return _count(photons, at + self._open, at + self._close)


def _touched(opens: Int64, length_ps: int, gaps: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Which of the intervals of one length, opening at ``opens``, share a moment with a gap."""
    touched = np.zeros(len(opens), np.bool_)
    for start, stop in gaps:
        touched |= (opens < stop) & (opens + length_ps > start)
    return touched


def _count(tags: Int64, opens: Int64, closes: Int64) -> Int64:
    """Tags in each half-open window, any shape."""
    return (np.searchsorted(tags, closes) - np.searchsorted(tags, opens)).astype(np.int64)
