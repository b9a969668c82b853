"""Words of the TDC1, against an encoder written edge by edge."""

import numpy as np
import pytest

from simulators.instruments.sfifteen._words import WordEncoder

HALF_PS = 134_217_728_000  # 2**26 ticks of 2 ns
NONE = (np.zeros(0, np.int64), np.zeros(0, np.uint8))


def edges(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(time in ps, input) pairs as the arrays of `deliver`."""
    return np.array([t for t, _ in pairs], np.int64), np.array([c for _, c in pairs], np.uint8)


def word(tick: int, mask: int) -> int:
    return ((tick % 2**27) << 5) | mask


def test_time_in_the_upper_bits_and_input_in_the_lower() -> None:
    words = WordEncoder().encode(*edges((0, 1), (2_000, 2), (7_999, 3), (10_000, 4)), until_ps=20_000)
    assert words.tolist() == [0b0001, (1 << 5) | 0b0010, (3 << 5) | 0b0100, (5 << 5) | 0b1000]
    assert words.dtype == np.dtype("<u4")


def test_edges_of_one_tick_share_a_word() -> None:
    words = WordEncoder().encode(*edges((4_000, 1), (4_500, 4), (5_999, 1), (6_000, 1)), until_ps=20_000)
    assert words.tolist() == [word(2, 0b1001), word(3, 0b0001)]


def test_a_tick_cut_by_two_calls_still_makes_one_word() -> None:
    encoder = WordEncoder()
    first = encoder.encode(*edges((4_000, 1)), until_ps=5_000)
    second = encoder.encode(*edges((5_500, 2)), until_ps=6_000)
    assert first.size == 0
    assert second.tolist() == [word(2, 0b0011)]


def test_time_wraps_after_two_to_the_27_ticks() -> None:
    wrap_ps = 2 * HALF_PS
    words = WordEncoder().encode(*edges((wrap_ps - 2_000, 1), (wrap_ps + 2_000, 1)), until_ps=wrap_ps + 10_000)
    assert words.tolist() == [word(2**26, 0x10), word(2**27 - 1, 1), word(0, 0x10), word(1, 1)]


def test_silence_still_tells_that_time_passes() -> None:
    words = WordEncoder().encode(*NONE, until_ps=5 * HALF_PS + 1_000_000)
    assert words.tolist() == [word(k * 2**26, 0x10) for k in (1, 2, 3, 4, 5)]


def test_no_dummy_where_an_edge_tells_the_time() -> None:
    words = WordEncoder().encode(*edges((HALF_PS, 2)), until_ps=HALF_PS + 10_000)
    assert words.tolist() == [word(2**26, 0b0010)]


def test_edges_before_the_stream_and_after_its_end_are_not_part_of_it() -> None:
    encoder = WordEncoder(stop_tick=10)
    words = encoder.encode(*edges((-1, 1), (0, 1), (19_999, 2), (20_000, 3)), until_ps=40_000)
    assert words.tolist() == [word(0, 1), word(9, 2)]
    assert encoder.finished
    assert encoder.encode(*edges((50_000, 1)), until_ps=60_000).size == 0


def test_inputs_that_the_box_does_not_have_are_ignored() -> None:
    assert WordEncoder().encode(*edges((0, 0), (0, 5)), until_ps=10_000).size == 0


@pytest.mark.parametrize("cuts", [1, 2, 7, 50])
def test_any_cutting_gives_the_words_of_an_edge_by_edge_encoder(cuts: int) -> None:
    rng = np.random.default_rng(41)
    end_ps = 6 * HALF_PS
    t_ps = np.sort(np.concatenate([rng.integers(0, end_ps, 400), rng.integers(0, 400_000, 400)]))
    channel = rng.integers(1, 5, t_ps.size).astype(np.uint8)
    by_tick: dict[int, int] = {k * 2**26: 0x10 for k in range(1, 6)}
    for t, c in zip(t_ps.tolist(), channel.tolist(), strict=True):
        tick = t // 2000
        by_tick[tick] = (by_tick.get(tick, 0) & 0xF) | (1 << (c - 1))
    expected = [word(tick, mask) for tick, mask in sorted(by_tick.items())]

    encoder = WordEncoder()
    limits = [*np.sort(rng.integers(0, end_ps, cuts - 1)).tolist(), end_ps]
    got: list[int] = []
    begin = 0
    for until in limits:
        stop = int(np.searchsorted(t_ps, until, side="right"))
        got += encoder.encode(t_ps[begin:stop], channel[begin:stop], until).tolist()
        begin = stop
    assert got == expected
