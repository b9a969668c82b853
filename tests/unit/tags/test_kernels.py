"""Kernels against plain Python loops over their definitions; both backends; any split into blocks gives the same."""

import tracemalloc
from collections.abc import Sequence
from itertools import combinations, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.errors import MisuseError
from qnode.tags import (
    Axis,
    Backend,
    CoincidenceCounter,
    Correlator,
    DeadTime,
    Delay,
    G2Counter,
    Histogram,
    RateCounter,
    RoundCounter,
    TagBlock,
    WindowTrain,
    coincidences,
    correlate,
    count_rates,
    dead_time,
    delay,
    g2,
    merge,
    round_statistics,
    start_multi_stop,
)

BACKENDS: list[Backend] = ["numpy", "numba"]
Tags = list[tuple[int, int]]

tag_lists = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 4)), max_size=50).map(
    lambda tags: sorted(tags, key=lambda tag: tag[0])
)
axes = st.builds(Axis, st.integers(-40, 20), st.integers(1, 9), st.integers(1, 12))
splits = st.lists(st.integers(0, 50), max_size=4)
gap_lists = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20)), max_size=2)


def columns(tags: Tags) -> tuple[list[int], list[int]]:
    return [time for time, _ in tags], [channel for _, channel in tags]


def blocks(tags: Tags, cuts: Sequence[int], gaps: Sequence[tuple[int, int]] = ()) -> list[TagBlock]:
    """The tags in blocks; a gap travels with the block that holds the first tag at or after its end."""
    edges = [0, *sorted(min(cut, len(tags)) for cut in cuts), len(tags)]
    found = []
    left = sorted((start, start + length) for start, length in gaps)
    for begin, end in pairwise(edges):
        part = tags[begin:end]
        here = [gap for gap in left if end == len(tags) or (part and part[-1][0] >= gap[0])]
        left = [gap for gap in left if gap not in here]
        found.append(TagBlock.from_arrays(*columns(part), gaps=here or None))
    return found


def stretches(tags: Tags, gaps: Sequence[tuple[int, int]]) -> list[Tags]:
    """Tags between the gaps, tags inside gaps left out."""
    parts: list[Tags] = [[]]
    ends = sorted((start, start + length) for start, length in gaps)
    for tag in tags:
        while ends and tag[0] >= ends[0][1]:
            parts.append([])
            ends.pop(0)
        if not any(start <= tag[0] < start + length for start, length in gaps):
            parts[-1].append(tag)
    return parts


def correlate_by_loop(tags: Tags, start: int, stop: int, axis: Axis) -> list[int]:
    counts = [0] * axis.bins
    for (i, (t_start, c_start)), (j, (t_stop, c_stop)) in product(enumerate(tags), repeat=2):
        if i != j and c_start == start and c_stop == stop:
            k = (t_stop - t_start - axis.first_ps) // axis.width_ps
            if 0 <= k < axis.bins:
                counts[k] += 1
    return counts


@settings(deadline=None, max_examples=150)
@given(tag_lists, st.integers(1, 3), st.integers(1, 3), axes)
def test_correlate_follows_the_definition(tags: Tags, start: int, stop: int, axis: Axis) -> None:
    expected = correlate_by_loop(tags, start, stop, axis)
    for backend in BACKENDS:
        found = correlate(*columns(tags), start, stop, axis, backend=backend)
        assert found.counts.tolist() == expected
        assert found.counts.dtype == np.int64


@settings(deadline=None, max_examples=150)
@given(tag_lists, st.integers(1, 2), axes, splits, gap_lists)
def test_correlate_streams(tags: Tags, stop: int, axis: Axis, cuts: list[int], gaps: list[tuple[int, int]]) -> None:
    expected = np.sum([correlate_by_loop(part, 1, stop, axis) for part in stretches(tags, gaps)], axis=0)
    for backend in BACKENDS:
        counter = Correlator(1, stop, axis, backend=backend)
        for block in blocks(tags, cuts, gaps):
            counter.feed(block)
        assert counter.histogram.counts.tolist() == expected.tolist()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("split", [False, True], ids=["one block", "a tag a block"])
@pytest.mark.parametrize(
    ("axis", "delay_ps", "expected"),
    [
        # Both signs of a delay count: +-40 lie on the two outer edges, of which only the lower one belongs to a bin.
        (Axis(-40, 10, 8), 40, [1, 0, 0, 0, 0, 0, 0, 0]),
        (Axis(-40, 10, 8), 41, [0, 0, 0, 0, 0, 0, 0, 0]),
        (Axis(-40, 10, 8), 39, [1, 0, 0, 0, 0, 0, 0, 1]),
        (Axis(-40, 10, 8), 10, [0, 0, 0, 1, 0, 1, 0, 0]),
        (Axis(-40, 10, 8), 0, [0, 0, 0, 0, 2, 0, 0, 0]),
        # Axes on one side of zero see one sign, half-open at both ends.
        (Axis(-40, 10, 2), 40, [1, 0]),
        (Axis(-40, 10, 2), 41, [0, 0]),
        (Axis(-40, 10, 2), 21, [0, 1]),
        (Axis(-40, 10, 2), 20, [0, 0]),
        (Axis(20, 10, 2), 20, [1, 0]),
        (Axis(20, 10, 2), 19, [0, 0]),
        (Axis(20, 10, 2), 39, [0, 1]),
        (Axis(20, 10, 2), 40, [0, 0]),
    ],
)
def test_edges_of_an_autocorrelation(
    axis: Axis, delay_ps: int, expected: list[int], split: bool, backend: Backend
) -> None:
    counter = Correlator(1, 1, axis, backend=backend)
    for times in [[1_000], [1_000 + delay_ps]] if split else [[1_000, 1_000 + delay_ps]]:
        counter.feed(TagBlock.from_arrays(times, [1] * len(times)))
    assert counter.histogram.counts.tolist() == expected


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("split", [False, True], ids=["one block", "a tag a block"])
@pytest.mark.parametrize(
    ("delay_ps", "expected"),
    [(-31, [0, 0]), (-30, [1, 0]), (-21, [1, 0]), (-20, [0, 1]), (-11, [0, 1]), (-10, [0, 0])],
)
@pytest.mark.parametrize("shift_ps", [0, 50])
def test_edges_of_a_cross_correlation(
    shift_ps: int, delay_ps: int, expected: list[int], split: bool, backend: Backend
) -> None:
    """Also of an axis on the other side of zero, where the stop comes after its start."""
    counter = Correlator(1, 2, Axis(shift_ps - 30, 10, 2), backend=backend)
    tags = sorted([(1_000, 1), (1_000 + delay_ps + shift_ps, 2)])
    for part in [tags[:1], tags[1:]] if split else [tags]:
        counter.feed(TagBlock.from_arrays(*columns(part)))
    assert counter.histogram.counts.tolist() == expected


def test_correlate_of_a_long_stream_agrees_between_backends_and_blocks() -> None:
    rng = np.random.default_rng(5)
    t_ps = np.sort(rng.integers(0, 10**9, 30_000))
    channel = rng.integers(1, 4, 30_000)
    axis = Axis.symmetric(200_000, 400)
    one = [correlate(t_ps, channel, 2, 3, axis, backend=backend).counts for backend in BACKENDS]
    np.testing.assert_array_equal(one[0], one[1])
    # by another route: every difference of the two sorted lists
    starts, stops = t_ps[channel == 2], t_ps[channel == 3]
    near = [stops[(stops >= s - 200_000) & (stops < s + 200_000)] - s for s in starts]
    expected, _ = np.histogram(np.concatenate(near), axis.edges_ps - 0.5)
    np.testing.assert_array_equal(one[0], expected)


def test_g2_of_independent_streams_is_one() -> None:
    rng = np.random.default_rng(11)
    duration = 10**11
    t_ps = np.sort(rng.integers(0, duration, 400_000))
    channel = rng.integers(1, 3, 400_000)
    result = g2(t_ps, channel, 1, 2, Axis.symmetric(2_500_000, 10), backend="numpy")
    assert result.starts + result.stops == 400_000
    assert result.live_ps == t_ps[-1] - t_ps[0]
    # 200 000 x 200 000 x 0.5 us / 0.1 s = 200 000 a bin: 1 within 4 standard deviations of 0.22 %
    np.testing.assert_allclose(result.values, 1, atol=4 * 0.00224)
    np.testing.assert_allclose(result.errors, 0.00224, rtol=0.02)


def test_g2_by_hand_and_with_a_gap() -> None:
    # starts at 0, 100; stops at 10, 110; T = 110 + 0: N1 N2 w (T - |tau|) / T^2
    result = g2([0, 10, 100, 110], [1, 2, 1, 2], 1, 2, Axis(0, 20, 1), backend="numpy")
    assert result.counts.tolist() == [2]
    assert result.expected[0] == pytest.approx(2 * 2 * 20 * (110 - 10) / 110**2)
    counter = G2Counter(1, 2, Axis(0, 200, 1), backend="numpy")
    counter.feed(TagBlock.from_arrays([0, 10, 100, 110], [1, 2, 1, 2], gaps=[(20, 90)]))
    counter.feed(TagBlock.from_arrays([130], [2]))
    assert counter.result.live_ps == 10 + 30
    assert counter.result.counts.tolist() == [3]  # 0-10, 100-110, 100-130; 0-110 lies across the gap


def coincidences_by_loop(tags: Tags, wanted: Sequence[int], window: int) -> int:
    lists = [[time for time, channel in tags if channel == member] for member in wanted]
    return sum(max(times) - min(times) < window for times in product(*lists))


SETS = [(1, 2), (3, 1), (1, 2, 3), (4, 2, 1, 3)]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 4)), max_size=25).map(
        lambda tags: sorted(tags, key=lambda tag: tag[0])
    ),
    st.integers(1, 30),
    splits,
    gap_lists,
)
def test_coincidences_follow_the_definition(
    tags: Tags, window: int, cuts: list[int], gaps: list[tuple[int, int]]
) -> None:
    expected = [sum(coincidences_by_loop(part, wanted, window) for part in stretches(tags, gaps)) for wanted in SETS]
    whole = [coincidences_by_loop(tags, wanted, window) for wanted in SETS]
    for backend in BACKENDS:
        assert coincidences(*columns(tags), SETS, window, backend=backend).tolist() == whole
        counter = CoincidenceCounter(SETS, window, backend=backend)
        for block in blocks(tags, cuts, gaps):
            counter.feed(block)
        assert counter.counts.tolist() == expected


def rounds_by_loop(
    tags: Tags, train: WindowTrain, axis: Axis, channels: Sequence[int]
) -> tuple[list[int], dict[tuple[int, int], int], int]:
    syncs = [time for time, channel in tags if channel == 4]
    counts, patterns = [0] * axis.bins, {}
    for time, channel in tags:
        before = [k for k, sync in enumerate(syncs) if sync <= time]
        if channel not in channels or not before:
            continue
        for attempt in range(train.attempts):
            offset = time - syncs[before[-1]] - train.first_open_ps - attempt * train.period_ps
            if 0 <= offset < train.width_ps:
                key = (before[-1], attempt)
                patterns[key] = patterns.get(key, 0) | 1 << channels.index(channel)
                if axis.first_ps <= offset < axis.end_ps:
                    counts[(offset - axis.first_ps) // axis.width_ps] += 1
    return counts, patterns, len(syncs)


trains = st.builds(
    lambda first, period, attempts, width: WindowTrain(first, period, attempts, min(width, period)),
    st.integers(0, 20),
    st.integers(1, 30),
    st.integers(1, 4),
    st.integers(1, 30),
)


@settings(deadline=None, max_examples=200)
@given(tag_lists, trains, st.builds(Axis, st.integers(0, 9), st.integers(1, 9), st.integers(1, 5)), splits)
def test_round_statistics_follow_the_definition(tags: Tags, train: WindowTrain, axis: Axis, cuts: list[int]) -> None:
    counts, patterns, rounds = rounds_by_loop(tags, train, axis, (1, 3))
    table = np.bincount(list(patterns.values()), minlength=256)
    table[0] = rounds * train.attempts - len(patterns)
    for backend in BACKENDS:
        counter = RoundCounter(4, train, axis, (1, 3), backend=backend)
        for block in blocks(tags, cuts):
            counter.feed(block)
        for result in (counter.result, round_statistics(*columns(tags), 4, train, axis, (1, 3), backend=backend)):
            assert result.histogram.counts.tolist() == counts
            assert result.patterns.tolist() == table.tolist()
            assert result.rounds == rounds
            assert result.interrupted == 0


@settings(deadline=None, max_examples=100)
@given(tag_lists, trains, splits, gap_lists)
def test_round_statistics_with_gaps_do_not_depend_on_backend_or_split(
    tags: Tags, train: WindowTrain, cuts: list[int], gaps: list[tuple[int, int]]
) -> None:
    axis = Axis(0, 3, 5)
    results = []
    for backend in BACKENDS:
        for parts in (blocks(tags, [], gaps), blocks(tags, cuts, gaps)):
            counter = RoundCounter(4, train, axis, (1, 3), backend=backend)
            for block in parts:
                counter.feed(block)
            result = counter.result
            results.append((result.histogram.counts.tolist(), result.patterns.tolist(), result.interrupted))
    assert all(result == results[0] for result in results)
    expected = [rounds_by_loop(part, train, axis, (1, 3)) for part in stretches(tags, gaps)]
    assert results[0][0] == np.sum([counts for counts, _, _ in expected], axis=0).tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gap_takes_the_open_window_out(backend: Backend) -> None:
    train = WindowTrain(0, 10, 3, 10)
    counter = RoundCounter(4, train, Axis(0, 10, 1), (1,), backend=backend)
    # round 1: clicks in window 0 and 1, then a gap from 18 on: windows 1 and 2 are not known
    counter.feed(TagBlock.from_arrays([0, 5, 15, 100, 105], [4, 1, 1, 4, 1], gaps=[(18, 90)]))
    result = counter.result
    assert result.rounds == 2
    assert result.interrupted == 1
    assert result.patterns[:2].tolist() == [2, 2]
    assert result.histogram.counts.tolist() == [3]


@pytest.mark.parametrize("backend", BACKENDS)
def test_start_multi_stop_by_hand(backend: Backend) -> None:
    tags = [(3, 2), (10, 1), (10, 2), (14, 2), (14, 2), (20, 2), (20, 1), (59, 2)]
    histogram = start_multi_stop(*columns(tags), 1, 2, Axis(0, 2, 5), backend=backend)
    # 10 -> 0, 14 -> 4 twice, 20 -> 0 (the start at 20 counts though it is listed later), 59 -> 39 out of
    # the axis
    assert histogram.counts.tolist() == [2, 0, 2, 0, 0]


@settings(deadline=None, max_examples=100)
@given(st.lists(tag_lists, max_size=5))
def test_merge_is_stable(streams: list[Tags]) -> None:
    tagged = [(time, index, channel) for index, tags in enumerate(streams) for time, channel in tags]
    expected = sorted(tagged, key=lambda tag: (tag[0], tag[1]))
    for backend in BACKENDS:
        merged = merge([TagBlock.from_arrays(*columns(tags)) for tags in streams], backend=backend)
        assert merged.t_ps.tolist() == [time for time, _, _ in expected]
        assert merged.channel.tolist() == [channel for _, _, channel in expected]


def test_merge_keeps_gaps_and_names_the_block() -> None:
    first = TagBlock.from_arrays([1], [1], gaps=[(5, 6)])
    second = TagBlock.from_arrays([2], [2], gaps=[(3, 4)], overflow=True)
    merged = merge([first, second])
    assert merged.gaps.tolist() == [[3, 4], [5, 6]]
    assert merged.overflow
    with pytest.raises(MisuseError, match=r"block 1: t_ps is not sorted: t_ps\[1\] = 2 after 3"):
        merge([first, TagBlock.from_arrays([3, 2], [1, 1])])


def dead_by_loop(tags: Tags, dead: dict[int, int], extending: bool) -> Tags:
    last: dict[int, int] = {}
    kept = []
    for time, channel in tags:
        alive = channel not in last or time - last[channel] >= dead.get(channel, 0)
        if alive:
            kept.append((time, channel))
        if alive or extending:
            last[channel] = time
    return kept


@settings(deadline=None, max_examples=200)
@given(tag_lists, st.integers(0, 30), st.integers(0, 30), st.booleans(), splits, gap_lists)
def test_dead_time_follows_the_definition(
    tags: Tags, first: int, second: int, extending: bool, cuts: list[int], gaps: list[tuple[int, int]]
) -> None:
    dead = {1: first, 2: second}
    expected = dead_by_loop(tags, dead, extending)
    for backend in BACKENDS:
        whole = dead_time(TagBlock.from_arrays(*columns(tags)), dead, extending=extending, backend=backend)
        assert list(zip(whole.t_ps.tolist(), whole.channel.tolist(), strict=True)) == expected
        stream = DeadTime(dead, extending=extending, backend=backend)
        parts = [stream.feed(block) for block in blocks(tags, cuts)]
        assert TagBlock.concat(parts).t_ps.tolist() == [time for time, _ in expected]
        assert stream.dropped == len(tags) - len(expected)
    gapped = [tag for part in stretches(tags, gaps) for tag in dead_by_loop(part, dead, extending)]
    for backend in BACKENDS:
        stream = DeadTime(dead, extending=extending, backend=backend)
        found = TagBlock.concat([stream.feed(block) for block in blocks(tags, cuts, gaps)])
        assert list(zip(found.t_ps.tolist(), found.channel.tolist(), strict=True)) == gapped


@settings(deadline=None, max_examples=100)
@given(tag_lists, st.integers(-50, 50), st.integers(-50, 50), splits)
def test_delays_shift_and_sort(tags: Tags, first: int, second: int, cuts: list[int]) -> None:
    delays = {1: first, 3: second}
    expected = sorted((time + delays.get(channel, 0), index) for index, (time, channel) in enumerate(tags))
    whole = delay(TagBlock.from_arrays(*columns(tags)), delays)
    assert whole.t_ps.tolist() == [time for time, _ in expected]
    assert whole.channel.tolist() == [tags[index][1] for _, index in expected]
    shift = Delay(delays)
    parts = [shift.feed(block) for block in blocks(tags, cuts)]
    joined = TagBlock.concat([*parts, shift.finish()])
    assert joined.t_ps.tolist() == whole.t_ps.tolist()
    assert joined.channel.tolist() == whole.channel.tolist()


def test_delay_grows_gaps_and_keeps_open_ones_open() -> None:
    block = TagBlock.from_arrays([100], [1], gaps=[(10, 20), (200, 2**63 - 1)])
    assert delay(block, {1: 7, 2: -3}).gaps.tolist() == [[7, 27], [197, 2**63 - 1]]


@settings(deadline=None, max_examples=60)
@given(tag_lists, st.integers(1, 60), splits)
def test_count_rates(tags: Tags, width: int, cuts: list[int]) -> None:
    counter = RateCounter(width)
    for block in blocks(tags, cuts):
        counter.feed(block)
    for result in (counter.result, count_rates(*columns(tags), width)):
        assert result.channels.tolist() == sorted({channel for _, channel in tags})
        assert int(result.counts.sum()) == len(tags)
        for row, start in zip(result.counts.tolist(), result.start_ps.tolist(), strict=True):
            for channel, count in zip(result.channels.tolist(), row, strict=True):
                assert count == sum(start <= t < start + width and c == channel for t, c in tags)


def test_rates_leave_gaps_out() -> None:
    # bins of 100: the gap takes 30 of bin 0, all of bins 1 and 2, 10 of bin 3, and the tag at 350 belongs to no gap
    tags = TagBlock.from_arrays([10, 75, 150, 305, 350, 420], [1, 1, 1, 1, 2, 1], gaps=[(70, 290), (280, 310)])
    for parts in (
        [tags],
        [TagBlock(tags.t_ps[:1], tags.channel[:1], tags.gaps), TagBlock(tags.t_ps[1:], tags.channel[1:])],
    ):
        counter = RateCounter(100)
        for part in parts:
            counter.feed(part)
        result = counter.result
        assert result.channels.tolist() == [1, 2]
        assert result.counts.tolist() == [[1, 0], [0, 0], [0, 0], [0, 1], [1, 0]]
        assert result.live_ps.tolist() == [70, 0, 0, 90, 100]
        rates = result.rates_hz
        assert rates[0, 0] == pytest.approx(1e12 / 70)
        assert rates[3].tolist() == pytest.approx([0, 1e12 / 90])
        assert np.isnan(rates[1:3]).all()


def test_rates_of_many_bins_take_little_memory() -> None:
    counter = RateCounter(1000)
    counter.feed(TagBlock.from_arrays([0, 10**9], [1, 200]))
    tracemalloc.start()
    counter.feed(TagBlock.from_arrays([2 * 10**9], [1]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # two million bins of one channel, once grown and once copied; 256 channels would be 4 GB
    assert peak < 2e6 * 8 * 4
    assert counter.result.counts.sum() == 3


def test_rates_in_hertz() -> None:
    assert count_rates([0, 1, 5], [1, 1, 2], 1000).rates_hz.tolist() == [[2e9, 1e9]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_unsorted_tags_are_refused_with_the_index(backend: Backend) -> None:
    bad = ([1, 5, 4], [1, 2, 1])
    text = r"t_ps is not sorted: t_ps\[2\] = 4 after 5"
    axis = Axis.symmetric(10, 2)
    for call in (
        lambda: correlate(*bad, 1, 2, axis, backend=backend),
        lambda: coincidences(*bad, [(1, 2)], 3, backend=backend),
        lambda: coincidences(*bad, [(1, 2, 3)], 3, backend=backend),
        lambda: round_statistics(*bad, 3, WindowTrain(0, 1, 1, 1), axis, (1,), backend=backend),
        lambda: dead_time(TagBlock.from_arrays(*bad), {1: 1}, backend=backend),
        lambda: delay(TagBlock.from_arrays(*bad), {1: 1}),
        lambda: count_rates(*bad, 10),
    ):
        with pytest.raises(MisuseError, match=text):
            call()
    late = TagBlock.from_arrays([3], [1])
    for stream in (
        Correlator(1, 2, axis, backend=backend),
        CoincidenceCounter([(1, 2)], 3, backend=backend),
        RoundCounter(3, WindowTrain(0, 1, 1, 1), axis, (1,), backend=backend),
        RateCounter(10),
        Delay({1: 1}),
        DeadTime({1: 1}, backend=backend),
        G2Counter(1, 2, axis, backend=backend),
    ):
        stream.feed(TagBlock.from_arrays([5, 7], [1, 1], gaps=[(6, 7)]))  # nor across a gap
        with pytest.raises(MisuseError, match="a block starts at 3 ps, before the last one's end at 7 ps"):
            stream.feed(late)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Axis(0, 0, 5), "width_ps is 0"),
        (lambda: Axis(0, 5, 0), "bins is 0"),
        (lambda: Axis(0, 2**50, 2), "the axis reaches"),
        (lambda: Axis.symmetric(10, 3), "no whole number of picoseconds"),
        (lambda: Correlator(0, 1, Axis(0, 1, 1)), "channel 0 is out of range"),
        (lambda: CoincidenceCounter([(1, 2)], -1), "window_ps is -1"),
        (lambda: CoincidenceCounter([], 1), "no set of channels"),
        (lambda: CoincidenceCounter([(1,)], 1), "no set of 2 to 8 different channels"),
        (lambda: CoincidenceCounter([(2, 2)], 1), "no set of 2 to 8 different channels"),
        (lambda: RoundCounter(1, WindowTrain(0, 1, 1, 1), Axis(0, 1, 1), (1,)), "channel 1 is the sync"),
        (lambda: start_multi_stop([], [], 1, 2, Axis(-1, 1, 1)), "the axis starts at -1 ps"),
        (lambda: g2([1, 2], [1, 1], 1, 2, Axis(0, 1, 1)), "channel 2 has no tags - channels with tags: 1"),
        (lambda: DeadTime({1: -1}), "dead time of channel 1 is -1 ps"),
        (lambda: Delay({1: 2**51}), "delay of channel 1"),
        (lambda: RateCounter(0), "bin_ps is 0"),
        (lambda: RateCounter(1e9), "bin_ps is 1000000000.0, no integer"),  # type: ignore[arg-type]
        (lambda: Axis(-0.5, 1, 1), r"first_ps is -0.5, no integer - times are whole"),  # type: ignore[arg-type]
        (lambda: Axis.symmetric(50e3, 500), "reach_ps is 50000.0, no integer"),  # type: ignore[arg-type]
        (lambda: WindowTrain(0, 1e6, 1, 1), "period_ps is 1000000.0, no integer"),  # type: ignore[arg-type]
        (lambda: CoincidenceCounter([(1, 2)], 1.5), "window_ps is 1.5, no integer"),  # type: ignore[arg-type]
        (lambda: Correlator(1, "2", Axis(0, 1, 1)), "channel is '2', no integer"),  # type: ignore[arg-type]
        (lambda: count_rates([0, 2**40], [1, 1], 1), "bins of 1 ps"),
        (lambda: Histogram(Axis(0, 1, 1), np.array([1])) + Histogram(Axis(0, 2, 1), np.array([1])), "don't add up"),
    ],
)
def test_wrong_questions_are_refused(call: object, text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        call()  # type: ignore[operator]


def test_histograms_add() -> None:
    axis = Axis(0, 1, 2)
    total = Histogram(axis, np.array([1, 2])) + Histogram(axis, np.array([10, 20]))
    assert total.counts.tolist() == [11, 22]
    assert axis.edges_ps.tolist() == [0, 1, 2]
    assert axis.centres_ps.tolist() == [0.5, 1.5]


def test_every_pair_of_a_set_is_counted() -> None:
    # 3 tags of one instant on each of 2 channels: 9 pairs, which a counter that consumes tags would call 3
    tags = [(5, channel) for channel in (1, 2) for _ in range(3)]
    for backend in BACKENDS:
        assert coincidences(*columns(tags), list(combinations((1, 2), 2)), 1, backend=backend).tolist() == [9]


@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_beyond_int64_are_refused_and_never_wrap(backend: Backend) -> None:
    """200 tags on each of 8 channels at one time: 200**8 = 2.6e18 fit, twice as many pass 2**62."""
    channel = np.repeat(np.arange(1, 9), 200)
    wanted = [tuple(range(1, 9))]
    counter = CoincidenceCounter(wanted, 10, backend=backend)
    counter.feed(TagBlock.from_arrays(np.full(1600, 5), channel))
    assert counter.counts.tolist() == [200**8]
    # each tag of the last channel completes 200**7 more; the one that reaches 2**62:
    at = 1400 + -(-(2**62 - 200**8) // 200**7) - 1
    with pytest.raises(
        MisuseError, match=rf"coincidences of \(1, 2, .*\) pass 2\*\*62 at t_ps = 900, block index {at}"
    ):
        counter.feed(TagBlock.from_arrays(np.full(1600, 900), channel))
    # a single product that would wrap to a small number: 1024**7 = 2**70
    with pytest.raises(MisuseError, match=r"pass 2\*\*62 at t_ps = 5, block index 7168"):
        coincidences(np.full(8192, 5), np.repeat(np.arange(1, 9), 1024), wanted, 10, backend=backend)


def test_a_plot_of_nothing_is_refused(tmp_path: Path) -> None:
    counter = G2Counter(1, 2, Axis(0, 10, 5), backend="numpy")
    counter.feed(TagBlock.from_arrays([1, 50], [1, 1]))
    with pytest.raises(MisuseError, match="there is no g2 to draw: one of the channels has no tags"):
        counter.result.plot(tmp_path / "g2.png")
    with pytest.raises(MisuseError, match="channel 2 has no tags - channels with tags: 1"):
        counter.finish()
    assert not list(tmp_path.iterdir())


def test_bins_beyond_the_live_time_stay_empty(tmp_path: Path) -> None:
    counter = G2Counter(1, 2, Axis(0, 50, 4), backend="numpy")
    counter.feed(TagBlock.from_arrays([1, 50, 100], [1, 2, 1]))
    result = counter.finish()
    assert np.isnan(result.values).tolist() == [False, False, True, True]
    result.plot(tmp_path / "g2.png")
    assert (tmp_path / "g2.png").stat().st_size > 1000


@pytest.mark.parametrize(("tags", "text"), [([(1, 1)], "channel 4 has no tags"), ([(1, 4)], "channel 1 has no tags")])
def test_rounds_without_syncs_or_clicks_are_refused_at_the_end(tags: Tags, text: str) -> None:
    counter = RoundCounter(4, WindowTrain(0, 10, 1, 10), Axis(0, 1, 10), (1, 3), backend="numpy")
    counter.feed(TagBlock.from_arrays(*columns(tags)))
    with pytest.raises(MisuseError, match=text):
        counter.finish()
    counter.feed(TagBlock.from_arrays([20, 21], [4, 3]))
    assert counter.finish().rounds == 1 + (tags[0][1] == 4)


def test_ties_of_tags_and_syncs_far_into_a_stream() -> None:
    """Longer than the kernel's blocks, times on a coarse grid: every order of ties, also across its blocks."""
    rng = np.random.default_rng(9)
    t_ps = np.sort(rng.integers(0, 9000, 20_000))
    channel = rng.integers(1, 5, 20_000)
    train, axis = WindowTrain(1, 3, 2, 2), Axis(0, 1, 2)
    numpy, numba = (round_statistics(t_ps, channel, 4, train, axis, (1, 3), backend=b) for b in BACKENDS)
    assert numpy.histogram.counts.sum() > 1000
    np.testing.assert_array_equal(numba.histogram.counts, numpy.histogram.counts)
    np.testing.assert_array_equal(numba.patterns, numpy.patterns)
    sparse = np.where((channel == 4) & (rng.random(20_000) > 0.002), 1, channel)
    numpy, numba = (round_statistics(t_ps, sparse, 4, train, axis, (1, 3), backend=b) for b in BACKENDS)
    np.testing.assert_array_equal(numba.histogram.counts, numpy.histogram.counts)
    np.testing.assert_array_equal(numba.patterns, numpy.patterns)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("width", [49, 98, 103, 107, 161, 187, 196, 197])
def test_delays_on_the_very_edge_open_their_bin(width: int, backend: Backend) -> None:
    """For these widths k * width * (1 / width) is below k in float64 for some k."""
    bins = 2000
    assert any(int(k * width * (1 / width)) < k for k in range(bins))
    # a start, and stops on the edges and 1 ps before each: bin k has its own edge and the last picosecond of its own
    stops = sorted({k * width for k in range(bins)} | {k * width - 1 for k in range(1, bins + 1)})
    t_ps, channel = [0, *stops], [1] + [2] * len(stops)
    found = correlate(t_ps, channel, 1, 2, Axis(0, width, bins), backend=backend)
    assert found.counts.tolist() == [2] * bins
    starts = start_multi_stop(t_ps, channel, 1, 2, Axis(0, width, bins), backend=backend)
    assert starts.counts.tolist() == [2] * bins
