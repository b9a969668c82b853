from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.errors import MisuseError
from qnode.tags import ClockModel, PpsClock, TagBlock, apply_clock

S = 10**12
OPEN = 2**63 - 1


@settings(max_examples=200)
@given(
    st.integers(0, 86_400 * S),
    st.integers(-(10**15), 10**15),
    st.integers(-100_000, 100_000),
    st.integers(0, 86_400 * S),
)
def test_offset_and_skew_to_the_picosecond(time: int, offset: int, skew_ppb: int, origin: int) -> None:
    """Against exact rational arithmetic; skews of whole ppb, so that the only error is the rounding."""
    model = ClockModel(offset, skew_ppb * 1e-9, origin)
    exact = time + offset + (time - origin) * Fraction(skew_ppb, 10**9)
    found = int(model.apply(TagBlock.from_arrays([time], [3])).t_ps[0])
    assert abs(found - exact) <= Fraction(51, 100)


def test_gaps_move_with_the_clock_and_open_ones_stay_open() -> None:
    block = TagBlock.from_arrays([1000], [1], gaps=[(500, 600), (2000, OPEN)], overflow=True)
    moved = ClockModel(offset_ps=7).apply(block)
    assert moved.t_ps.tolist() == [1007]
    assert moved.gaps.tolist() == [[507, 607], [2007, OPEN]]
    assert moved.overflow


def test_clocks_that_cannot_be() -> None:
    with pytest.raises(MisuseError, match=r"skew is 0\.1"):
        ClockModel(skew=0.1)
    with pytest.raises(MisuseError, match="tolerance 0"):
        PpsClock(4, tolerance=0)
    with pytest.raises(MisuseError, match="channel 0"):
        PpsClock(0)


def drifting(seed: int = 2) -> tuple[TagBlock, list[tuple[int, int]]]:
    """Tags and PPS (channel 4) of a clock whose rate changes every second; [(tag, true lab time)] for channel 1."""
    rng = np.random.default_rng(seed)
    edges = np.concatenate(([300], 300 + np.cumsum(S + rng.integers(-5_000_000, 5_000_000, 6))))
    tags, truth = [(int(edge), 4) for edge in edges], []
    for k in range(6):
        for part in rng.random(20):
            instrument = int(edges[k] + part * (edges[k + 1] - edges[k]))
            exact = k * S + Fraction(instrument - int(edges[k])) * S / int(edges[k + 1] - edges[k])
            tags.append((instrument, 1))
            truth.append((instrument, round(exact)))
    tags.sort()
    return TagBlock.from_arrays([t for t, _ in tags], [c for _, c in tags]), sorted(truth)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 130), max_size=6))
def test_pps_is_exact_at_pulses_and_linear_between(cuts: list[int]) -> None:
    block, truth = drifting()
    clock = PpsClock(4, first_label_ps=50 * S)
    edges = [0, *sorted(cuts), len(block)]
    parts = [clock.feed(TagBlock(block.t_ps[a:b], block.channel[a:b])) for a, b in pairwise(edges)]
    found = TagBlock.concat([*parts, clock.finish()])
    assert found.t_ps[found.channel == 4].tolist() == [(50 + k) * S for k in range(7)]
    np.testing.assert_allclose(found.t_ps[found.channel == 1], [50 * S + exact for _, exact in truth], rtol=0, atol=1)
    assert clock.refused == 0


def test_pps_continues_its_rate_bridges_and_refuses() -> None:
    # 1 s is 1 s + 1 us here; second 2 has no pulse; a stray pulse in between
    pulse = S + 10**6
    tags = [(pulse // 2, 1), (pulse, 4), (2 * pulse, 4), (2 * pulse + 12345, 4), (4 * pulse, 4), (9 * pulse // 2, 1)]
    clock = PpsClock(4)
    block = TagBlock.from_arrays([t for t, _ in tags], [c for _, c in tags], gaps=[(3 * pulse, OPEN)])
    first, rest = clock.feed(block), clock.finish()
    found = TagBlock.concat([first, rest])
    assert found.t_ps[[0, 1, 2, 4, 5]].tolist() == [-S // 2, 0, S, 3 * S, 7 * S // 2]
    assert found.gaps.tolist() == [[2 * S, OPEN]]
    assert clock.refused == 1


def test_pps_that_never_comes_is_named() -> None:
    clock = PpsClock(4)
    assert len(clock.feed(TagBlock.from_arrays([1, 2], [1, 4]))) == 0
    with pytest.raises(MisuseError, match="channel 4 gave 1 good pulses, 0 refused"):
        clock.finish()


def test_pulses_inside_a_gap_are_no_pulses() -> None:
    second = 10**12
    clock = PpsClock(4)
    # a stray word of a damaged stream, within the tolerance of a second and 50 us off, lies in the gap
    stray = second + 50_000_000
    block = TagBlock.from_arrays([0, stray, 2 * second], [4, 4, 4], gaps=[(second // 2, second + 10**8)])
    found = TagBlock.concat([clock.feed(block), clock.finish()])
    assert found.t_ps.tolist() == [0, stray, 2 * second]
    assert clock.refused == 0


def test_a_stream_on_lab_time_to_its_end() -> None:
    blocks = [TagBlock.from_arrays([0, 3], [4, 1]), TagBlock.from_arrays([10**12, 10**12 + 7], [4, 1])]
    assert TagBlock.concat(apply_clock(blocks, ClockModel(offset_ps=5))).t_ps.tolist() == [
        5,
        8,
        10**12 + 5,
        10**12 + 12,
    ]
    assert TagBlock.concat(apply_clock(blocks, PpsClock(4, 9))).t_ps.tolist() == [9, 12, 10**12 + 9, 10**12 + 16]
