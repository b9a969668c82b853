"""Damaged TDC1 streams, many and of many kinds: whatever stands outside the marked gaps is true, to the unit.

The streams are made word by word here; what the decoder can't know (a loss of whole words) is left out.
"""

import numpy as np
import pytest

from qnode.tags import TagBlock, Tdc1Decoder

WRAP_UNITS = 1 << 27
UNIT_PS = 2_000
FOREVER_PS = 2**63 - 1


def as_bytes(units: np.ndarray, masks: np.ndarray) -> bytes:
    words: np.ndarray = ((units % WRAP_UNITS) << 5 | masks).astype("<u4")
    return words.tobytes()


def some_stream(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(units, masks with the dummy bit) from 0.4 kHz to 50 MHz, some with pauses, begun anywhere, a dummy each wrap."""
    words = int(rng.integers(60, 500))
    kind = rng.choice(["clicks", "syncs", "pauses"])
    mean = int(np.exp(rng.uniform(np.log(10), np.log(1e5 if kind == "pauses" else 1e6))))
    steps = np.full(words, 500_000) if kind == "syncs" else rng.integers(1, 2 * mean, words)
    if kind == "pauses":
        steps[rng.random(words) < 0.01] = 4 * WRAP_UNITS // 5
    units = int(rng.integers(0, WRAP_UNITS)) + np.cumsum(steps)
    units -= units[0] // WRAP_UNITS * WRAP_UNITS
    masks = np.full(words, 2) if kind == "syncs" else rng.choice([1, 2, 4, 8, 3], words)
    dummies = np.arange(WRAP_UNITS, units[-1], WRAP_UNITS)
    dummies = dummies[~np.isin(dummies, units)]
    units = np.concatenate((units, dummies))
    masks = np.concatenate((masks, np.full(dummies.size, 16)))
    order = np.argsort(units)
    return units[order], masks[order]


def tags_of(units: np.ndarray, masks: np.ndarray) -> set[tuple[int, int]]:
    return {
        (int(unit) * UNIT_PS, bit + 1)
        for unit, mask in zip(units, masks, strict=True)
        for bit in range(4)
        if mask >> bit & 1
    }


def decode(data: bytes, size: int, *, prompt: bool) -> TagBlock:
    stream = Tdc1Decoder(prompt=prompt)
    blocks = [stream.feed(data[k : k + size]) for k in range(0, len(data), size)]
    return TagBlock.concat([*blocks, stream.finish()])


def outside_gaps(block: TagBlock) -> set[tuple[int, int]]:
    keep = np.ones(len(block), bool)
    for start, end in block.gaps.tolist():
        keep &= (block.t_ps < start) | (block.t_ps >= end)
    return set(zip(block.t_ps[keep].tolist(), block.channel[keep].tolist(), strict=True))


def test_whatever_stands_outside_the_gaps_is_true() -> None:
    checked = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        units, masks = some_stream(rng)
        data = as_bytes(units, masks)
        lose = int(rng.choice([1, 2, 3, 5, 6, 7, 9]))
        # Not in the first words: before nine of them nothing says in which wrap the stream began.
        at = int(rng.integers(40, len(data) - lose + 1))
        broken = data[:at] + data[at + lose :]
        size = int(np.exp(rng.uniform(np.log(20), np.log(3000))))
        truth = tags_of(units, masks)
        whole = decode(broken, len(broken), prompt=False)
        for block in (whole, decode(broken, size, prompt=False), decode(broken, size, prompt=True)):
            found = outside_gaps(block)
            assert found <= truth, (seed, at, lose, size)
            assert len(block.gaps), (seed, at, lose)
            checked += len(found)
        again = decode(broken, size, prompt=False)
        np.testing.assert_array_equal(again.t_ps, whole.t_ps)
        np.testing.assert_array_equal(again.gaps, whole.gaps)
    assert checked > 20_000


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("prompt", [False, True])
def test_a_sound_stream_has_no_gap(seed: int, prompt: bool) -> None:
    units, masks = some_stream(np.random.default_rng(1000 + seed))
    block = decode(as_bytes(units, masks), 333, prompt=prompt)
    assert len(block.gaps) == 0
    assert outside_gaps(block) == tags_of(units, masks)


@pytest.mark.parametrize("prompt", [False, True])
def test_a_byte_lost_just_before_the_end_shows_in_the_bytes_left_over(prompt: bool) -> None:
    """75 words in half a millisecond, shifted so that the steady top byte comes first: each is possible, in order."""
    rng = np.random.default_rng(0)
    units = np.cumsum(rng.integers(1, 6000, 600))
    masks = np.where(np.arange(600) % 4 == 0, 2, rng.choice([1, 4, 5], 600))
    data = as_bytes(units, masks)
    at = 7 * len(data) // 8
    block = decode(data[:at] + data[at + 3 :], 4000, prompt=prompt)
    assert block.gaps[-1, 1] == FOREVER_PS
    assert outside_gaps(block) <= tags_of(units, masks)
    assert len(outside_gaps(block)) > 500  # 525 words came whole


@pytest.mark.parametrize("prompt", [False, True])
def test_one_damaged_time_does_not_cost_a_wrap(prompt: bool) -> None:
    """A word jumps by more than half a wrap; the way back looks like a wrap that has passed."""
    units = 1000 + 700 * np.arange(300)
    masks = np.where(np.arange(300) % 3 == 0, 2, 1)
    damaged = units.copy()
    damaged[150] += 5 * WRAP_UNITS // 8
    block = decode(as_bytes(damaged, masks), 100, prompt=prompt)
    found = outside_gaps(block)
    assert found <= tags_of(units, masks)
    assert {(int(unit) * UNIT_PS, 1 + (k % 3 == 0)) for k, unit in enumerate(units) if k < 138} <= found


@pytest.mark.parametrize("prompt", [False, True])
def test_a_pause_at_the_very_loss_is_no_wrap_too_few(prompt: bool) -> None:
    """The words after the loss are the dummies of a pause of three wraps: the time after it is right or in a gap."""
    rng = np.random.default_rng(5)
    before = 5000 + np.cumsum(rng.integers(1, 6000, 200))
    dummies = WRAP_UNITS * np.arange(1, 4)
    after = 3 * WRAP_UNITS + 7000 + np.cumsum(rng.integers(1, 6000, 200))
    units = np.concatenate((before, dummies, after))
    masks = np.concatenate((rng.choice([1, 2, 4], 200), np.full(3, 16), rng.choice([1, 2, 4], 200)))
    data = as_bytes(units, masks)
    for lose in (1, 2, 3):
        at = 4 * 199 + 1
        block = decode(data[:at] + data[at + lose :], 64, prompt=prompt)
        assert len(block.gaps)
        assert outside_gaps(block) <= tags_of(units, masks)
