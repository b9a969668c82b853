"""Decoders against streams built word by word here, by hand and by struct."""

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qnode.errors import InstrumentError, MisuseError
from qnode.tags import TagBlock, Tdc1Decoder, decoder

WRAP_UNITS = 2**27


def word(units: int, channels: tuple[int, ...] = (), dummy: bool = False) -> bytes:
    """One TDC1 word; ``units`` is the unwrapped time in 2 ns."""
    value = (units % WRAP_UNITS) << 5
    value |= 0x10 if dummy else 0
    for channel in channels:
        value |= 1 << (channel - 1)
    return struct.pack("<I", value)


def run_stream(seed: int = 3, wraps: int = 3) -> tuple[bytes, list[tuple[int, int]]]:
    """(bytes, [(time in units, channel)]): a sync every ms, clicks between, a dummy at each wrap."""
    rng = np.random.default_rng(seed)
    events: dict[int, set[int]] = {}
    for sync in range(1000, wraps * WRAP_UNITS, 500_000):
        events.setdefault(sync, set()).add(2)
        for dt in rng.integers(1, 400_000, rng.poisson(2)):
            events.setdefault(sync + int(dt), set()).add(int(rng.choice([1, 3])))
    words = {time: word(time, tuple(channels)) for time, channels in events.items()}
    for wrap in range(1, wraps):
        words.setdefault(wrap * WRAP_UNITS, word(0, dummy=True))
    tags = [(time, channel) for time in sorted(events) for channel in sorted(events[time])]
    return b"".join(words[time] for time in sorted(words)), tags


def decode(data: bytes, sizes: list[int] | None = None) -> tuple[TagBlock, object]:
    stream = decoder("sfifteen_tdc1")
    blocks = []
    for size in sizes or [len(data)]:
        blocks.append(stream.feed(data[:size]))
        data = data[size:]
    blocks += [stream.feed(data), stream.finish()]
    return TagBlock.concat(blocks), stream


def test_tdc1_word_by_hand() -> None:
    # 0x00000065 = time 3 units = 6 ns, channels 1 and 3.
    block = decoder("sfifteen_tdc1").feed(bytes([0x65, 0, 0, 0]))
    assert block.t_ps.tolist() == [6000, 6000]
    assert block.channel.tolist() == [1, 3]
    assert block.t_ps.dtype == np.int64
    assert block.channel.dtype == np.uint8


def test_tdc1_unwraps_with_and_without_a_dummy() -> None:
    data = word(WRAP_UNITS - 10, (1,)) + word(WRAP_UNITS + 5, (2,)) + word(2 * WRAP_UNITS, dummy=True)
    data += word(2 * WRAP_UNITS + 7, (4,))
    block, _ = decode(data)
    assert block.t_ps.tolist() == [
        (WRAP_UNITS - 10) * 2000,
        (WRAP_UNITS + 5) * 2000,
        (2 * WRAP_UNITS + 7) * 2000,
    ]
    assert block.channel.tolist() == [1, 2, 4]
    assert len(block.gaps) == 0


def test_a_dummy_word_carries_time_only() -> None:
    stream = decoder("sfifteen_tdc1")
    assert len(stream.feed(word(100, (1,)))) == 1
    assert stream.horizon_ps == 200_000
    assert len(stream.feed(word(60_000_000, dummy=True))) == 0
    assert stream.horizon_ps == 60_000_000 * 2000
    # back by little, but a dummy word says that the clock wrapped; the next one keeps the beat
    stream.feed(word(60_000_010, (1,)) + word(WRAP_UNITS + 59_000_000, dummy=True))
    assert stream.horizon_ps == (WRAP_UNITS + 59_000_000) * 2000
    stream.feed(word(2 * WRAP_UNITS + 59_000_000, dummy=True))
    assert stream.horizon_ps == (2 * WRAP_UNITS + 59_000_000) * 2000


def test_a_lone_tag_after_a_long_silence_waits_for_confirmation() -> None:
    stream = decoder("sfifteen_tdc1")
    stream.feed(word(0, (1,)))
    far = 20_000_000
    assert len(stream.feed(word(far, (2,)))) == 0
    assert stream.horizon_ps == 0
    assert stream.finish().t_ps.tolist() == [far * 2000]

    stream = decoder("sfifteen_tdc1")
    stream.feed(word(0, (1,)))
    stream.feed(word(far, (2,)))
    block = stream.feed(b"".join(word(far + 10 * k, (1,)) for k in range(1, 7)))
    assert len(block) == 7
    assert stream.horizon_ps == (far + 60) * 2000


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 997), max_size=40), st.integers(0, 5))
def test_tdc1_does_not_depend_on_the_split(sizes: list[int], seed: int) -> None:
    data, tags = run_stream(seed)
    block, _ = decode(data, sizes)
    assert block.t_ps.tolist() == [time * 2000 for time, _ in tags]
    assert block.channel.tolist() == [channel for _, channel in tags]
    assert len(block.gaps) == 0


def damaged(data: bytes, at: int, lose: int) -> bytes:
    return data[:at] + data[at + lose :]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 4000), st.integers(1, 3), st.integers(0, 8), st.lists(st.integers(0, 499), max_size=20))
def test_a_lost_byte_is_a_gap_and_never_a_wrong_tag(at: int, lose: int, seed: int, sizes: list[int]) -> None:
    data, tags = run_stream(seed, wraps=2)
    broken = damaged(data, at, lose)
    block, stream = decode(broken)
    assert len(block.gaps) >= 1
    assert (np.diff(block.t_ps) >= 0).all()
    truth = {(time * 2000, channel) for time, channel in tags}
    got = set(zip(block.t_ps.tolist(), block.channel.tolist(), strict=True))

    def in_gap(time: int) -> bool:
        return any(start <= time < end for start, end in block.gaps.tolist())

    assert {tag for tag in got - truth if not in_gap(tag[0])} == set()
    assert {tag for tag in truth - got if not in_gap(tag[0])} == set()
    assert stream.dropped_bytes > 0  # type: ignore[attr-defined]
    again, _ = decode(broken, sizes)
    np.testing.assert_array_equal(again.t_ps, block.t_ps)
    np.testing.assert_array_equal(again.channel, block.channel)
    np.testing.assert_array_equal(again.gaps, block.gaps)


def test_most_of_a_damaged_stream_is_saved() -> None:
    data, _ = run_stream(4, wraps=2)
    lengths = []
    for at in range(40, 4000, 7):
        block, _ = decode(damaged(data, at, 1 + at % 3))
        lengths.append(int((block.gaps[:, 1] - block.gaps[:, 0]).sum()))
    assert np.mean(np.array(lengths) < 40_000_000_000) > 0.95


def test_a_second_loss_soon_after_a_gap_does_not_reach_back_to_the_start() -> None:
    """Two bytes lost; the stream is taken up at a wrong place first, which shows by its creeping low byte."""
    rng = np.random.default_rng(900)
    middle = np.cumsum(rng.integers(1, 6000, 600))
    masks = np.where(np.arange(600) % 4 == 0, 2, rng.choice([1, 4, 5], 600))
    before = np.arange(0, 5 * WRAP_UNITS, 2**21)
    middle = middle + 5 * WRAP_UNITS
    after = np.arange(int(middle[-1]) + 1000, 8 * WRAP_UNITS, 2**13 + 1)
    units = np.concatenate((before, middle, after))
    masks = np.concatenate((np.ones(before.size, int), masks, np.ones(after.size, int)))
    data = ((units % WRAP_UNITS) << 5 | masks).astype("<u4").tobytes()
    at = 4 * before.size + int(0.5896562764575655 * 4 * 600)
    block, _ = decode(damaged(data, at, 2))
    starts, ends = block.gaps.min(axis=0)[0], block.gaps.max(axis=0)[1]
    assert starts > (middle[0] - 1) * 2000  # what came before is kept
    assert ends < 7 * WRAP_UNITS * 2000  # and so is what comes after
    outside = (block.t_ps < starts) | (block.t_ps >= ends)
    truth = {
        (int(unit) * 2000, bit + 1)
        for unit, mask in zip(units, masks, strict=True)
        for bit in range(4)
        if mask >> bit & 1
    }
    found = set(zip(block.t_ps[outside].tolist(), block.channel[outside].tolist(), strict=True))
    assert found == {tag for tag in truth if not starts <= tag[0] < ends}


def test_a_stream_lost_to_its_end_is_marked() -> None:
    data, tags = run_stream(1, wraps=1)
    block, _ = decode(data[:402] + data[403:450])
    assert len(block.gaps) == 1
    start, end = block.gaps[0]
    assert start <= tags[100][0] * 2000
    assert end == 2**63 - 1


def test_truncated_last_word_is_counted() -> None:
    block, stream = decode(word(5, (1,)) + b"\x01\x02")
    assert len(block) == 1
    assert stream.dropped_bytes == stream.cut_bytes == 2  # type: ignore[attr-defined]


def test_idq_by_hand_and_split_in_a_record() -> None:
    stream = decoder("idq_u64")
    data = struct.pack("<3Q", 5, 7, 2**62)
    first, second = stream.feed(data[:11], 1), stream.feed(data[11:], 1)
    assert first.t_ps.tolist() == [5]
    assert second.t_ps.tolist() == [7, 2**62]
    assert second.channel.tolist() == [1, 1]


def test_idq_channels_are_separate_streams() -> None:
    stream = decoder("idq_u64")
    assert len(stream.feed(struct.pack("<Q", 100)[:4], 1)) == 0
    assert stream.feed(struct.pack("<Q", 300), 2).t_ps.tolist() == [300]
    assert stream.feed(struct.pack("<Q", 100)[4:], 1).t_ps.tolist() == [100]
    assert stream.horizon_ps == 100
    assert len(stream.feed(b"", 1)) == 0
    stream.feed(b"\x00\x01", 1)
    assert len(stream.finish()) == 0
    assert stream.dropped_bytes == 2


def test_idq_with_reference() -> None:
    block = decoder("idq_u64_ref").feed(struct.pack("<4Q", 41, 1000, 42, 17), 3)
    assert block.ref.tolist() == [41, 42]
    assert block.t_ps.tolist() == [1000, 17]
    assert block.channel.tolist() == [3, 3]
    assert len(block) == 2


def test_idq_errors_say_where() -> None:
    stream = decoder("idq_u64")
    with pytest.raises(MisuseError, match="channel 0 is out of range"):
        stream.feed(b"")
    stream.feed(struct.pack("<Q", 1), 2)
    with pytest.raises(InstrumentError, match=r"channel 2, byte 16:"):
        stream.feed(struct.pack("<2Q", 1, 2**63), 2)


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(MisuseError, match="sfifteen_tdc1, idq_u64"):
        decoder("ttbin")


def test_a_prompt_decoder_hands_a_lone_pulse_per_second_on_at_once():
    units = np.array([5, 5 + 50_000_000], np.uint64)  # two edges 0.1 s apart on input 4, nothing else
    words = ((units << np.uint64(5)) | np.uint64(0b1000)).astype("<u4").tobytes()
    assert len(Tdc1Decoder().feed(words)) == 1
    block = Tdc1Decoder(prompt=True).feed(words)
    assert block.t_ps.tolist() == [10_000, 100_000_010_000]
    assert block.channel.tolist() == [4, 4]


@settings(deadline=None, max_examples=25)
@given(st.integers(40, 4000), st.integers(1, 3), st.integers(0, 8), st.integers(1, 300))
@example(at=3860, lose=2, seed=7, size=1)  # a shifted word passes for a dummy, most of a wrap ahead
def test_a_prompt_decoder_is_right_after_a_gap_too(at: int, lose: int, seed: int, size: int) -> None:
    data, tags = run_stream(seed, wraps=2)
    for broken in (data, damaged(data, at, lose)):
        stream = Tdc1Decoder(prompt=True)
        blocks = [stream.feed(broken[k : k + size]) for k in range(0, len(broken), size)]
        block = TagBlock.concat([*blocks, stream.finish()])
        truth = {(time * 2000, channel) for time, channel in tags}
        got = set(zip(block.t_ps.tolist(), block.channel.tolist(), strict=True))
        gaps = block.gaps.tolist()
        assert bool(gaps) == (broken is not data)
        assert [tag for tag in got ^ truth if not any(start <= tag[0] < end for start, end in gaps)] == []
        assert stream.trusted_ps <= stream.horizon_ps
