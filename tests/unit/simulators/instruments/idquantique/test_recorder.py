"""Sub-acquisitions, against windows laid by hand and by a loop over edges."""

import numpy as np
import pytest

from simulators.instruments.idquantique._recorder import ClosedSubAcquisitions, Recorder, RecordSettings

US = 1_000_000
BEGIN = 1_800_000_000_000_000_000_000
Edges = tuple[np.ndarray, np.ndarray]


def edges(*pairs: tuple[int, int]) -> Edges:
    return np.array([t for t, _ in pairs], np.int64), np.array([c for _, c in pairs], np.uint8)


def rows(closed: ClosedSubAcquisitions | None) -> list[tuple[int, int, int]]:
    """(sub-acquisition since the recording began, input, time) of each edge."""
    if closed is None:
        return []
    found = []
    for channel in range(5):
        t_ps, of = closed.of(channel)
        found += [(closed.first_index + int(o), channel, int(t)) for t, o in zip(t_ps, of, strict=True)]
    return sorted(found)


def triggered(number: int | None = None, delay_ps: int = 0) -> Recorder:
    return Recorder(RecordSettings(10 * US, 20 * US, number, trigger=0, trigger_delay_ps=delay_ps), BEGIN)


def test_a_start_edge_opens_and_the_duration_closes() -> None:
    recorder = triggered()
    sent = edges((0, 1), (US, 0), (2 * US, 1), (11 * US - 1, 2), (11 * US, 3), (15 * US, 1))
    closed = recorder.accept(BEGIN, *sent, BEGIN + 20 * US)
    # Sub-acquisition 0 is [1, 11) us; its opening is the origin of time.
    assert rows(closed) == [(0, 0, 0), (0, 1, US), (0, 2, 10 * US - 1)]
    assert not recorder.finished


def test_nothing_comes_before_the_end() -> None:
    recorder = triggered()
    assert recorder.accept(BEGIN, *edges((0, 0), (US, 1)), BEGIN + 10 * US - 1) is None
    closed = recorder.accept(BEGIN, *edges(), BEGIN + 10 * US)
    assert rows(closed) == [(0, 0, 0), (0, 1, US)]


def test_a_start_inside_the_dead_time_is_missed() -> None:
    recorder = triggered()
    late = 10 * US + 40_000
    sent = edges((0, 0), (10 * US + 39_999, 0), (late, 0), (late + 1, 1))
    closed = recorder.accept(BEGIN, *sent, BEGIN + 100 * US)
    assert closed is not None
    assert closed.start_ps.tolist() == [0, late]
    assert rows(closed)[-1] == (1, 1, late + 1)


def test_the_number_ends_it() -> None:
    recorder = triggered(number=2)
    sent = edges((0, 0), (20 * US, 0), (40 * US, 0), (41 * US, 1))
    closed = recorder.accept(BEGIN, *sent, BEGIN + 60 * US)
    assert closed is not None
    assert closed.start_ps.size == 2
    assert recorder.finished


def test_stop_cuts_what_is_open() -> None:
    recorder = triggered()
    recorder.accept(BEGIN, *edges((0, 0), (US, 1)), BEGIN + 2 * US)
    recorder.stop(BEGIN + 5 * US)
    assert not recorder.finished
    closed = recorder.accept(BEGIN, *edges((4 * US, 2), (5 * US, 2), (6 * US, 0)), BEGIN + 30 * US)
    assert rows(closed) == [(0, 0, 0), (0, 1, US), (0, 2, 4 * US)]
    assert recorder.finished


def test_edges_before_play_do_not_count_whatever_their_origin() -> None:
    recorder = triggered()
    closed = recorder.accept(BEGIN - 5 * US, *edges((0, 0), (5 * US, 0), (6 * US, 1)), BEGIN + 30 * US)
    assert rows(closed) == [(0, 0, 0), (0, 1, US)]


def test_without_a_trigger_the_period_opens_them() -> None:
    recorder = Recorder(RecordSettings(10 * US, 15 * US, 3), BEGIN)
    t = np.arange(0, 60 * US, US, dtype=np.int64)
    closed = recorder.accept(BEGIN, t, np.ones(t.size, np.uint8), BEGIN + 60 * US)
    assert [r[2] // US for r in rows(closed)] == [*range(10), *range(15, 25), *range(30, 40)]
    assert recorder.finished


def test_a_period_without_dead_time_gets_one() -> None:
    recorder = Recorder(RecordSettings(10 * US, 10 * US, 2), BEGIN)
    closed = recorder.accept(BEGIN, *edges(), BEGIN + 60 * US)
    assert closed is not None
    assert closed.start_ps.tolist() == [0, 10 * US + 40_000]


def test_a_trigger_delay_moves_the_window() -> None:
    recorder = triggered(delay_ps=3 * US)
    sent = edges((0, 0), (US, 1), (4 * US, 1), (12 * US, 1))
    assert recorder.accept(BEGIN, *edges((0, 0)), BEGIN + US // 2) is None
    closed = recorder.accept(BEGIN, sent[0][1:], sent[1][1:], BEGIN + 13 * US)
    assert rows(closed) == [(0, 1, US), (0, 1, 9 * US)]


@pytest.mark.parametrize("cuts", [1, 3, 40])
def test_any_cutting_of_time_gives_what_a_loop_over_edges_gives(cuts: int) -> None:
    rng = np.random.default_rng(5)
    end = 4_000 * US
    t_ps = np.sort(rng.integers(0, end, 3_000))
    channel = rng.choice([0, 1, 2, 3, 4], t_ps.size, p=[0.1, 0.3, 0.3, 0.2, 0.1]).astype(np.uint8)

    expected: list[tuple[int, int, int]] = []
    zero, opened, index = None, None, -1
    for t, c in zip(t_ps.tolist(), channel.tolist(), strict=True):
        if c == 0 and (opened is None or t >= opened + 10 * US + 40_000):
            opened, index = t, index + 1
            zero = t if zero is None else zero
        if opened is not None and zero is not None and opened <= t < opened + 10 * US:
            expected.append((index, c, t - zero))

    recorder = triggered()
    got: list[tuple[int, int, int]] = []
    begin = 0
    for until in [*np.sort(rng.integers(0, end, cuts - 1)).tolist(), end + 20 * US]:
        stop = int(np.searchsorted(t_ps, until, side="right"))
        got += rows(recorder.accept(BEGIN, t_ps[begin:stop], channel[begin:stop], BEGIN + until))
        begin = stop
    assert sorted(got) == sorted(expected)
    assert recorder.closed == index + 1
