"""Folding and click patterns against a plain Python loop over the definitions, and by hand."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.errors import MisuseError
from qnode.tags import Clicks, WindowTrain, click_patterns, fold, fold_relative

BACKENDS = ["numpy", "numba"]
TRAIN = WindowTrain(first_open_ps=100, period_ps=50, attempts=3, width_ps=10)


def rows(clicks: Clicks) -> list[tuple[int, int, int, int]]:
    return list(
        zip(
            clicks.round.tolist(),
            clicks.attempt.tolist(),
            clicks.offset_ps.tolist(),
            clicks.channel.tolist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_fold_by_hand_edges_are_half_open(backend: str) -> None:
    # syncs at 1000 and 2000; windows 100-110, 150-160, 200-210 after each
    tags = [999, 1099, 1100, 1109, 1110, 1150, 1209, 1210, 1250, 2000, 2200, 9000]
    clicks = fold(tags, [1] * 8 + [2] * 4, [1000, 2000], TRAIN, first_round=7, backend=backend)  # type: ignore[arg-type]
    assert rows(clicks) == [(7, 0, 0, 1), (7, 0, 9, 1), (7, 1, 0, 1), (7, 2, 9, 1), (8, 2, 0, 2)]
    assert clicks.outside == 7
    assert clicks.round.dtype == np.int64
    assert clicks.attempt.dtype == np.int32
    assert clicks.offset_ps.dtype == np.int64
    assert clicks.channel.dtype == np.uint8
    assert len(clicks) == 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tag_on_the_sync_belongs_to_that_sync(backend: str) -> None:
    train = WindowTrain(0, 10, 1000, 10)
    clicks = fold([10, 20, 29], [1, 1, 1], [10, 20], train, backend=backend)  # type: ignore[arg-type]
    assert rows(clicks) == [(0, 0, 0, 1), (1, 0, 0, 1), (1, 0, 9, 1)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("period_ps", "attempts"),
    # 1/49 and its like are a little less in float64; beyond 2**50 ps no product in float64 finds the attempt.
    [(49, 400), (98, 400), (103, 400), (187, 400), (5_500_000, 250), (2**40 + 1, 2**20), (2**44 - 3, 2**16)],
)
def test_openings_and_last_picoseconds_of_many_windows(period_ps: int, attempts: int, backend: str) -> None:
    train = WindowTrain(7, period_ps, attempts, period_ps)
    attempt = np.unique(np.linspace(0, attempts - 1, 400).astype(np.int64))
    opens = 7 + attempt * period_ps
    tags = np.stack((opens, opens + period_ps - 1), axis=1).reshape(-1)
    ones = np.ones(len(tags), np.uint8)
    for clicks in (
        fold(tags, ones, [0], train, backend=backend),  # type: ignore[arg-type]
        fold_relative(np.zeros(len(tags), np.int64), tags, ones, train, backend=backend),  # type: ignore[arg-type]
    ):
        assert clicks.attempt.tolist() == np.repeat(attempt, 2).tolist()
        assert clicks.offset_ps.tolist() == [0, period_ps - 1] * len(attempt)


def by_loop(tags: list[tuple[int, int]], syncs: list[int], train: WindowTrain) -> list[tuple[int, int, int, int]]:
    found = []
    for time, channel in tags:
        before = [k for k, sync in enumerate(syncs) if sync <= time]
        if not before:
            continue
        for attempt in range(train.attempts):
            opens = syncs[before[-1]] + train.first_open_ps + attempt * train.period_ps
            if opens <= time < opens + train.width_ps:
                found.append((before[-1], attempt, time - opens, channel))
    return found


trains = st.builds(
    lambda first, period, attempts, width: WindowTrain(first, period, attempts, min(width, period)),
    st.integers(0, 40),
    st.integers(1, 30),
    st.integers(1, 6),
    st.integers(1, 30),
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(1, 4)), max_size=60),
    st.sets(st.integers(0, 600), max_size=8),
    trains,
)
def test_fold_and_patterns_follow_the_definition(
    tags: list[tuple[int, int]], syncs: set[int], train: WindowTrain
) -> None:
    tags, sync_list = sorted(tags), sorted(syncs)
    expected = by_loop(tags, sync_list, train)
    table: dict[tuple[int, int], tuple[int, int]] = {}
    for k, attempt, offset, channel in expected:
        if channel in (3, 1):
            pattern, first = table.get((k, attempt), (0, 10**9))
            table[k, attempt] = (pattern | (1 if channel == 3 else 2), min(first, offset))
    for backend in BACKENDS:
        clicks = fold([t for t, _ in tags], [c for _, c in tags], sync_list, train, backend=backend)  # type: ignore[arg-type]
        assert rows(clicks) == expected
        assert clicks.outside == len(tags) - len(expected)
        patterns = click_patterns(clicks, (3, 1), backend=backend)  # type: ignore[arg-type]
        assert list(zip(patterns.round.tolist(), patterns.attempt.tolist(), strict=True)) == sorted(table)
        assert patterns.pattern.tolist() == [table[key][0] for key in sorted(table)]
        assert patterns.first_offset_ps.tolist() == [table[key][1] for key in sorted(table)]
        relative = [(k, t - sync_list[k], c) for t, c in tags for k in [sum(s <= t for s in sync_list) - 1] if k >= 0]
        again = fold_relative(
            [r[0] for r in relative],
            [r[1] for r in relative],
            [r[2] for r in relative],
            train,
            backend=backend,  # type: ignore[arg-type]
        )
        assert rows(again) == expected
        assert again.outside == len(relative) - len(expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_patterns_of_streams_one_after_the_other(backend: str) -> None:
    # an IDQ station: one stream a channel, so the clicks arrive channel by channel
    clicks = Clicks(
        np.array([0, 2, 0, 1, 2]),
        np.array([4, 0, 4, 9, 1], np.int32),
        np.array([30, 5, 20, 6, 7]),
        np.array([1, 1, 2, 2, 2], np.uint8),
        0,
    )
    patterns = click_patterns(clicks, (1, 2), backend=backend)  # type: ignore[arg-type]
    assert patterns.round.tolist() == [0, 1, 2, 2]
    assert patterns.attempt.tolist() == [4, 9, 0, 1]
    assert patterns.pattern.tolist() == [3, 2, 1, 2]
    assert patterns.first_offset_ps.tolist() == [20, 6, 5, 7]
    assert patterns.pattern.dtype == np.uint8
    assert patterns.attempt.dtype == np.int32
    assert len(patterns) == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_tags_no_rows(backend: str) -> None:
    clicks = fold([], [], [], TRAIN, backend=backend)  # type: ignore[arg-type]
    assert len(clicks) == 0
    assert len(click_patterns(clicks, backend=backend)) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", BACKENDS)
def test_bad_input_names_the_place(backend: str) -> None:
    with pytest.raises(MisuseError, match=r"t_ps is not sorted: t_ps\[2\] = 4 after 5"):
        fold([1, 5, 4], [1, 1, 1], [0], TRAIN, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match=r"sync_t_ps is not strictly increasing: sync_t_ps\[1\] = 3 after 3"):
        fold([1], [1], [3, 3], TRAIN, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match=r"channel\[0\] = 0"):
        fold([1], [0], [0], TRAIN, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match="lengths differ"):
        fold_relative([1, 2], [1], [1], TRAIN, backend=backend)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((-1, 10, 1, 1), "first_open_ps is -1"),
        ((0, 10, 0, 1), "attempts is 0"),
        ((0, 10, 1, 11), "width_ps 11 does not fit"),
        ((0, 10, 1, -1), "width_ps -1 does not fit"),
        ((0, 2**40, 2**30, 1), r"reach beyond 2\*\*61 ps"),
    ],
)
def test_windows_that_cannot_be(numbers: tuple[int, int, int, int], text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        WindowTrain(*numbers)


@pytest.mark.parametrize(("channels", "text"), [((), "0 channels"), ((1, 1), "named twice"), ((0,), "out of range")])
def test_pattern_channels_that_cannot_be(channels: tuple[int, ...], text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        click_patterns(fold([], [], [], TRAIN, backend="numpy"), channels, backend="numpy")


def test_unknown_backend() -> None:
    with pytest.raises(MisuseError, match="unknown backend 'cuda'"):
        fold([], [], [], TRAIN, backend="cuda")  # type: ignore[arg-type]


def test_environment_keeps_numba_out() -> None:
    code = (
        "import sys; from qnode.tags import *; t = WindowTrain(0, 10, 1, 1)\n"
        "click_patterns(fold([1], [1], [1], t, backend='numba')); print('numba' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"QNODE_TAGS_BACKEND": "numpy", "PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": ""},
    )
    assert done.stdout.strip() == "False"
