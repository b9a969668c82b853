"""Arrival histograms, counted by hand from a few tags."""

from __future__ import annotations

import numpy as np
import pytest

from qnode.analysis import Detection, arrivals
from qnode.errors import MisuseError
from qnode.tags import TagBlock

ROUND_PS = 1_000_000
SYNC = 3
# Two attempts of 100 ns a round; windows of 25 ns (bins of 1 ns) open 30 ns and 70 ns after the sync.
DETECTION = Detection(
    first_open_ps=30_000, window_ps=25_000, opens_ps=(0, 40_000), attempt_period_ps=100_000, attempts=2
)


def tape(*tags: tuple[int, int, int]) -> TagBlock:
    """Tags (round, picoseconds after its sync, channel), with the syncs of rounds 0 to 2."""
    rows = sorted([(r * ROUND_PS + t, ch) for r, t, ch in tags] + [(r * ROUND_PS, SYNC) for r in range(3)])
    return TagBlock(np.array([t for t, _ in rows]), np.array([ch for _, ch in rows], np.uint8))


def at(counts: np.ndarray, edges_ps: np.ndarray) -> dict[int, int]:
    """Left edge in picoseconds to count, bins that are not empty."""
    return {int(edges_ps[place]): int(counts[place]) for place in np.flatnonzero(counts)}


def test_each_tag_counts_in_its_window_at_its_time_after_the_first_opening():
    block = tape(
        (0, 30_000, 1),  # the very opening of the first window
        (0, 130_400, 1),  # the same in attempt 1, 0.4 ns later: the same bin
        (1, 54_999, 2),  # the last picosecond of the first window
        (1, 55_000, 2),  # just closed: in the margin
        (2, 29_999, 2),  # not yet open: in the margin
        (2, 172_500, 1),  # second window of attempt 1, 2.5 ns after its opening
        (2, 250_000, 1),  # after both attempts
        (2, 35_000, 4),  # the herald line is no detector
    )
    first, second = arrivals([block], DETECTION)
    assert (first.open_ps, first.close_ps, second.open_ps, second.close_ps) == (0, 25_000, 40_000, 65_000)
    assert at(first.counts[0], first.edges_ps) == {0: 2}
    assert at(first.counts[1], first.edges_ps) == {-1_000: 1, 24_000: 1, 25_000: 1}
    assert at(second.counts[0], second.edges_ps) == {42_000: 1}
    # 15 ns before the second window is 25 ns after the first: its margin begins where the first window has closed.
    assert at(second.counts[1], second.edges_ps) == {25_000: 1}


def test_plans_are_counted_apart_and_added():
    one, other = tape((0, 30_000, 1)), tape((1, 31_000, 1), (1, 32_500, 2))
    first = arrivals([one], DETECTION)[0] + arrivals([other], DETECTION)[0]
    assert at(first.counts.sum(axis=0), first.edges_ps) == {0: 1, 1_000: 1, 2_000: 1}


def test_another_window_does_not_add_up():
    first, second = arrivals([], DETECTION)
    with pytest.raises(MisuseError, match="different bins"):
        first + second


def test_no_tape_is_an_empty_histogram():
    (first, second) = arrivals([], DETECTION)
    assert first.counts.shape == second.counts.shape == (2, 55)
    assert not first.counts.any()
