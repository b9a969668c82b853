"""Every split of dense streams into blocks, with and without gaps, against one block and against plain loops."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from qnode.tags import (
    Axis,
    Backend,
    CoincidenceCounter,
    Correlator,
    DeadTime,
    Delay,
    G2Counter,
    RateCounter,
    RoundCounter,
    TagBlock,
    WindowTrain,
)
from qnode.tags._pieces import Cutter, gaps_in_time

Tags = list[tuple[int, int]]
Gaps = list[tuple[int, int]]


def dense(seed: int) -> tuple[Tags, Gaps]:
    """24 tags in 40 ps, many at one time, and up to three gaps, also nested ones, side by side or without length."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 40, 24)).tolist()
    starts = rng.integers(0, 40, int(rng.integers(0, 4))).tolist()
    gaps = sorted((start, start + int(rng.integers(0, 9))) for start in starts)
    return list(zip(times, rng.integers(1, 5, 24).tolist(), strict=True)), gaps


def block(tags: Tags, gaps: Gaps) -> TagBlock:
    return TagBlock.from_arrays([time for time, _ in tags], [channel for _, channel in tags], gaps=gaps)


def split(tags: Tags, gaps: Gaps, cuts: Iterable[int]) -> list[TagBlock]:
    """Blocks cut before these indices; a gap comes with the block of the first tag at or after its start."""
    found, left = [], list(gaps)
    for begin, end in pairwise([0, *cuts, len(tags)]):
        here = [gap for gap in left if end == len(tags) or (end > begin and gap[0] <= tags[end - 1][0])]
        left = [gap for gap in left if gap not in here]
        found.append(block(tags[begin:end], here))
    return found


def splits(tags: Tags) -> list[list[int]]:
    """Two blocks cut anywhere, and a tag a block."""
    return [*([cut] for cut in range(len(tags) + 1)), list(range(1, len(tags)))]


def pieces_of(blocks: Iterable[TagBlock]) -> list[Tags]:
    cutter = Cutter()
    found: list[Tags] = [[]]
    for one in blocks:
        for t_ps, channel, cut in cutter.pieces(one):
            if cut:
                found.append([])
            found[-1] += list(zip(t_ps.tolist(), channel.tolist(), strict=True))
    return [piece for piece in found if piece]


def pieces_by_loop(tags: Tags, gaps: Gaps) -> list[Tags]:
    """Tags outside all gaps; two neighbours are apart when a gap ends after the first, and not after the second."""
    found: list[Tags] = []
    last = None
    for time, channel in tags:
        if any(start <= time < end for start, end in gaps):
            continue
        if last is None or any(last < end <= time for _, end in gaps):
            found.append([])
        found[-1].append((time, channel))
        last = time
    return found


@pytest.mark.parametrize("seed", range(40))
def test_pieces_are_the_tags_between_gaps_for_every_split(seed: int) -> None:
    tags, gaps = dense(seed)
    expected = pieces_by_loop(tags, gaps)
    for cuts in splits(tags):
        assert pieces_of(split(tags, gaps, cuts)) == expected, cuts


def counts(blocks: list[TagBlock], backend: Backend) -> list[object]:
    """All that every counter and filter makes of these blocks."""
    pairs = [Correlator(1, stop, Axis(-6, 3, 4), backend=backend) for stop in (1, 2)]
    g2 = G2Counter(1, 2, Axis(-6, 3, 4), backend=backend)
    many = CoincidenceCounter([(1, 2), (1, 2, 3), (1, 2, 3, 4)], 5, backend=backend)
    rounds = RoundCounter(4, WindowTrain(1, 4, 3, 3), Axis(0, 1, 3), (1, 2), backend=backend)
    rates = RateCounter(7)
    dead = [DeadTime({1: 3, 2: 4}, extending=extending, backend=backend) for extending in (False, True)]
    delay = Delay({1: 3, 3: -4})
    kept: list[list[int]] = [[], [], []]
    for one in blocks:
        for counter in (*pairs, g2, many, rounds, rates):
            counter.feed(one)
        for index, step in enumerate((*dead, delay)):
            out = step.feed(one)
            kept[index] += (out.t_ps * 8 + out.channel).tolist()
    out = delay.finish()
    kept[2] += (out.t_ps * 8 + out.channel).tolist()
    # Of equal times, those of other channels may have come earlier: which of them is first depends on the split.
    kept[2].sort()
    result, statistics, rate = g2.result, rounds.result, rates.result
    return [
        *(one.histogram.counts.tolist() for one in pairs),
        [result.counts.tolist(), result.starts, result.stops, result.live_ps],
        many.counts.tolist(),
        [
            statistics.histogram.counts.tolist(),
            statistics.patterns.tolist(),
            statistics.rounds,
            statistics.interrupted,
        ],
        [rate.start_ps.tolist(), rate.channels.tolist(), rate.counts.tolist(), rate.live_ps.tolist()],
        [one.dropped for one in dead],
        kept,
    ]


@pytest.mark.parametrize("seed", range(12))
def test_every_split_counts_the_same_with_both_backends(seed: int) -> None:
    tags, gaps = dense(seed)
    expected = counts([block(tags, gaps)], "numpy")
    for backend in ("numpy", "numba"):
        for cuts in splits(tags):
            assert counts(split(tags, gaps, cuts), backend) == expected, (backend, cuts)


def test_coincidences_over_a_blocks_border_by_hand() -> None:
    """Windows of 5 ps over a border: 4 ps are inside, 5 ps are not; the first new tag counts, and so do later ones."""
    for backend in ("numpy", "numba"):
        counter = CoincidenceCounter([(1, 2), (1, 2, 3)], 5, backend=backend)
        counter.feed(block([(0, 1), (1, 1), (2, 3)], []))
        counter.feed(block([(4, 2), (5, 2), (6, 2)], []))
        # Pairs: 0-4, 1-4, 1-5. Triples: each with the 3 at 2 ps.
        assert counter.counts.tolist() == [3, 3]


def test_a_gap_comes_with_the_block_whose_last_tag_it_begins_at() -> None:
    blocks = [block([(1, 1), (5, 1)], []), block([(6, 1)], []), block([(9, 1)], [])]
    found = list(gaps_in_time(iter(blocks), np.array([[5, 7], [10, 11]])))
    assert [one.gaps.tolist() for one in found] == [[[5, 7]], [], [], [[10, 11]]]
    assert pieces_of(found) == [[(1, 1)], [(9, 1)]]
