"""What is counted in a file does not depend on the size of the blocks it is read in, also where an instrument lost bytes.

A TDC1 that loses a byte is found out late: the gap reaches back over tags that were decoded before. Files know better.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.tags import (
    Axis,
    Backend,
    CoincidenceCounter,
    DeadTime,
    G2Counter,
    RateCounter,
    RoundCounter,
    TagBlock,
    Tdc1Decoder,
    WindowTrain,
    open_tags,
    read_tags,
    write_tags,
)
from qnode.tags._columns import ArrowWriter

UNIT_PS = 2000


def tdc1_bytes(seed: int, words: int, mean_units: int) -> bytes:
    """A sync on 2 every fourth word, clicks on 1 and 3; short enough that no wrap has to be marked."""
    rng = np.random.default_rng(seed)
    units = np.cumsum(rng.integers(1, 2 * mean_units, words))
    masks = np.where(np.arange(words) % 4 == 0, 2, rng.choice([1, 4, 5], words))
    return (((units & 0x7FFFFFF) << 5) | masks).astype("<u4").tobytes()


def without(data: bytes, losses: Iterable[tuple[float, int]]) -> bytes:
    """The bytes but for some: (where, as a part of the whole; how many)."""
    for where, count in sorted(losses, reverse=True):
        at = int(where * len(data))
        data = data[:at] + data[at + count :]
    return data


def counts(blocks: Iterable[TagBlock], backend: Backend) -> list[list[int]]:
    """Everything that counts, fed with these blocks."""
    g2 = G2Counter(2, 1, Axis.symmetric(40_000_000, 80), backend=backend)
    many = CoincidenceCounter([(1, 2), (1, 2, 3)], 8_000_000, backend=backend)
    train = WindowTrain(0, 2_000_000, 3, 1_500_000)
    rounds = RoundCounter(2, train, Axis(0, 100_000, 15), (1, 3), backend=backend)
    rates = RateCounter(50_000_000)
    dead = DeadTime({1: 3_000_000}, backend=backend)
    kept = 0
    for block in blocks:
        for counter in (g2, many, rounds, rates):
            counter.feed(block)
        kept += len(dead.feed(block))
    pairs, windows, rate = g2.result, rounds.result, rates.result
    return [
        pairs.counts.tolist(),
        [pairs.starts, pairs.stops, pairs.live_ps],
        many.counts.tolist(),
        windows.histogram.counts.tolist(),
        [*windows.patterns.tolist(), windows.rounds, windows.interrupted],
        [*rate.start_ps.tolist(), *rate.channels.tolist()],
        rate.counts.ravel().tolist(),
        [dead.dropped, kept],
    ]


def as_file(folder: Path, format: str, data: bytes, chunk: int) -> Path:
    """The stream as a file: its bytes, or what a recorder makes of the blocks of a decoder that gets them in pieces."""
    path = folder / f"run.{format}"
    if format == "tdc1":
        path.write_bytes(data)
        return path
    stream = Tdc1Decoder()
    blocks = [stream.feed(data[k : k + chunk]) for k in range(0, len(data), chunk)]
    blocks.append(stream.finish())
    if format == "arrow":
        writer = ArrowWriter(path)
        for block in blocks:
            writer.write(block)
        writer.close()
    else:
        write_tags(path, blocks)
    return path


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.floats(0.05, 0.95), st.integers(1, 3)), max_size=3),
    st.sampled_from(["tdc1", "arrow", "parquet"]),
    st.sampled_from([400, 3000]),
    st.integers(1, 4000),
    st.integers(8, 400),
)
@pytest.mark.filterwarnings("ignore::qnode.tags.TruncatedFileWarning")
def test_lost_bytes_cost_the_same_tags_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    losses: list[tuple[float, int]],
    format: str,
    mean_units: int,
    chunk: int,
    tags: int,
) -> None:
    data = without(tdc1_bytes(seed, 600, mean_units), losses)
    path = as_file(tmp_path_factory.mktemp("split"), format, data, chunk)
    whole = read_tags(path)
    for backend in ("numpy", "numba"):
        assert counts(open_tags(path).blocks(tags), backend) == counts([whole], backend)


def test_a_late_gap_comes_before_its_tags(tmp_path: Path) -> None:
    """The decoder finds the loss after it has handed out tags of the gap; the file's blocks have the gap first."""
    data = without(tdc1_bytes(1, 1500, 400), [(0.5, 1)])
    stream = Tdc1Decoder()
    live = [*(stream.feed(data[k : k + 4]) for k in range(0, len(data), 4)), stream.finish()]
    (start_ps, _), at = next((block.gaps[0].tolist(), k) for k, block in enumerate(live) if len(block.gaps))
    assert max(int(block.t_ps[-1]) for block in live[:at] if len(block)) > start_ps  # late
    for format in ("tdc1", "arrow"):
        path = as_file(tmp_path, format, data, 4)
        blocks = list(open_tags(path).blocks(1))
        at = next(k for k, block in enumerate(blocks) if len(block.gaps))
        assert all(int(block.t_ps[-1]) < start_ps for block in blocks[:at] if len(block))
        assert sum(len(block.gaps) for block in blocks) == 1
