import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qnode.errors import MisuseError
from qnode.tags import (
    Axis,
    CoincidenceCounter,
    Correlator,
    DeadTime,
    Delay,
    G2Counter,
    PpsClock,
    RateCounter,
    RoundCounter,
    TagBlock,
    WindowTrain,
    merge,
    write_tags,
)


def test_from_arrays_converts_and_keeps_gaps() -> None:
    block = TagBlock.from_arrays([1, 2, 3], [1, 255, 2], gaps=[(2, 3)], overflow=True)
    assert len(block) == 3
    assert block.t_ps.dtype == np.int64
    assert block.channel.dtype == np.uint8
    assert block.gaps.tolist() == [[2, 3]]
    assert block.overflow
    times = np.array([1, 2], np.int64)
    assert TagBlock.from_arrays(times, [1, 1]).t_ps is times


@pytest.mark.parametrize(
    ("t_ps", "channel", "text"),
    [
        ([0.5, 1.0], [1, 1], "t_ps is float64"),
        ([1, 2], [1], "lengths differ: t_ps 2, channel 1"),
        ([1, 2], [1, 0], r"channel\[1\] = 0 is out of range"),
        ([1, 2], [256, 1], r"channel\[0\] = 256 is out of range"),
        ([[1], [2]], [1, 2], r"t_ps has shape \(2, 1\)"),
        (np.array([1, 2**63], np.uint64), [1, 1], r"t_ps\[1\] = 9223372036854775808 does not fit"),
    ],
)
def test_bad_arrays_are_refused_with_the_place(t_ps: object, channel: object, text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        TagBlock.from_arrays(t_ps, channel)  # type: ignore[arg-type]


def test_gap_that_ends_before_its_start() -> None:
    with pytest.raises(MisuseError, match="gap 1 ends at 4 ps, before its start at 5 ps"):
        TagBlock.from_arrays([1], [1], gaps=[(0, 1), (5, 4)])


def test_concat_joins_and_refuses_time_going_back() -> None:
    first = TagBlock.from_arrays([1, 5], [1, 2], gaps=[(2, 3)])
    empty = TagBlock.from_arrays([], [])
    second = TagBlock.from_arrays([5, 9], [3, 1], overflow=True)
    joined = TagBlock.concat([first, empty, second])
    assert joined.t_ps.tolist() == [1, 5, 5, 9]
    assert joined.channel.tolist() == [1, 2, 3, 1]
    assert joined.gaps.tolist() == [[2, 3]]
    assert joined.overflow
    with pytest.raises(MisuseError, match="block 2 starts at 1 ps, before the last one's end at 9 ps"):
        TagBlock.concat([second, empty, first])
    assert len(TagBlock.concat([])) == 0


GOOD = (np.array([1, 2]), np.array([1, 2], np.uint8))


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (([1, 2], GOOD[1]), "t_ps of a block is list, not an array of int64 in 1D - TagBlock.from_arrays converts"),
        ((np.array([1.0, 2.0]), GOOD[1]), r"t_ps of a block is float64, shape \(2,\)"),
        ((GOOD[0].astype(np.int32), GOOD[1]), "t_ps of a block is int32"),
        ((GOOD[0].reshape(1, 2), GOOD[1]), r"t_ps of a block is int64, shape \(1, 2\)"),
        ((GOOD[0], GOOD[0]), "channel of a block is int64"),
        ((GOOD[0], GOOD[1][:1]), "lengths differ: t_ps 2, channel 1"),
        ((*GOOD, np.array([1, 2])), r"gaps of a block is int64, shape \(2,\)"),
        ((*GOOD, np.array([[1, 2, 3]])), r"gaps have shape \(1, 3\)"),
        ((*GOOD, np.array([[3, 2]])), "gap 0 ends at 2 ps, before its start at 3 ps"),
    ],
)
def test_a_block_of_other_arrays_is_refused(columns: tuple[object, ...], text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        TagBlock(*columns)  # type: ignore[arg-type]


def test_gaps_are_integer_pairs() -> None:
    with pytest.raises(MisuseError, match="gaps are float64"):
        TagBlock.from_arrays([1], [1], gaps=[(0.5, 1.5)])
    with pytest.raises(MisuseError, match=r"gaps are int64, shape \(2,\)"):
        TagBlock.from_arrays([1], [1], gaps=[1, 2])


FEEDS: list[Callable[[TagBlock], object]] = [
    Correlator(1, 2, Axis(0, 1, 1), backend="numpy").feed,
    G2Counter(1, 2, Axis(0, 1, 1), backend="numpy").feed,
    CoincidenceCounter([(1, 2)], 5, backend="numpy").feed,
    RoundCounter(1, WindowTrain(0, 1, 1, 1), Axis(0, 1, 1), (2,), backend="numpy").feed,
    RateCounter(10).feed,
    DeadTime({1: 1}, backend="numpy").feed,
    Delay({1: 1}).feed,
    PpsClock(1).feed,
    lambda block: merge([block, block], backend="numpy"),
    lambda block: write_tags(Path("none.ptu"), block),
]


@pytest.mark.parametrize("feed", FEEDS)
def test_channel_0_is_refused_by_whatever_is_fed(feed: Callable[[TagBlock], object]) -> None:
    block = TagBlock(np.array([3, 4, 5]), np.array([1, 2, 0], np.uint8))
    with pytest.raises(MisuseError, match=r"channel\[2\] = 0 is out of range"):
        feed(block)


def test_import_is_light() -> None:
    heavy = ("numba", "pyarrow", "matplotlib", "dask", "multiprocessing")
    code = f"import sys, qnode.tags; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
