import subprocess
import sys

import numpy as np
import pytest

from qnode.errors import MisuseError
from qnode.tags import TagBlock


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


def test_import_is_light() -> None:
    heavy = ("numba", "pyarrow", "matplotlib", "dask", "multiprocessing")
    code = f"import sys, qnode.tags; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
