"""Parts with halos add up to the bits of one pass: threads, processes, a cluster; gaps and sparse streams too."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.errors import MisuseError
from qnode.tags import (
    Axis,
    CoincidenceCounter,
    G2Counter,
    RoundCounter,
    TagBlock,
    WindowTrain,
    coincidences_of_files,
    correlate_files,
    g2_of_files,
    start_multi_stop_of_files,
)

AXIS = Axis(-30, 5, 14)
SETS = [(1, 2), (1, 2, 3)]


def archive(
    folder: Path, sizes: list[int], gaps: list[tuple[int, int]], step: int = 8
) -> tuple[list[Path], TagBlock]:
    """Two files of row groups of these sizes, and all the tags."""
    rng = np.random.default_rng(sum(sizes))
    t_ps = np.sort(rng.integers(0, max(sum(sizes) * step, 1), sum(sizes)))
    channel = rng.integers(1, 4, t_ps.size)
    edges = np.cumsum([0, *sizes])
    groups = [TagBlock.from_arrays(t_ps[a:b], channel[a:b]) for a, b in pairwise(edges.tolist())]
    half = len(groups) // 2
    holes = np.array(gaps, np.int64).reshape(-1, 2)
    paths = [folder / "one.parquet", folder / "two.parquet"]
    write_groups(paths[0], groups[:half] or [groups[0]], holes.tolist())
    write_groups(paths[1], groups[half:] if half else [], [])
    return paths, TagBlock.from_arrays(t_ps, channel, gaps=holes)


def write_groups(path: Path, groups: list[TagBlock], gaps: list[list[int]], statistics: bool = True) -> None:
    """A row group a block, by pyarrow: `write_tags` makes groups of a million tags."""
    schema = pa.schema({"t_ps": pa.int64(), "channel": pa.uint8()}, metadata={"qnode.gaps": json.dumps(gaps)})
    with pq.ParquetWriter(path, schema, write_statistics=statistics) as writer:
        for group in groups:
            if len(group):
                writer.write_table(pa.table([group.t_ps, group.channel], schema=schema))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 800), st.integers(1, 60)), max_size=2),
    st.sampled_from([2, 8, 100]),
    st.integers(1, 60),
)
def test_parts_add_up(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    lengths: list[tuple[int, int]],
    step: int,
    part_tags: int,
) -> None:
    gaps = [(start, start + length) for start, length in lengths]
    paths, whole = archive(tmp_path_factory.mktemp("tags"), sizes, gaps, step)
    one = G2Counter(1, 2, AXIS, backend="numpy")
    one.feed(whole)
    many = CoincidenceCounter(SETS, 12, backend="numpy")
    many.feed(whole)
    starts = RoundCounter(1, WindowTrain(0, 50, 1, 50), Axis(5, 9, 5), (2,), backend="numpy")
    starts.feed(whole)
    if not {1, 2} <= set(whole.channel.tolist()):
        for call in (g2_of_files, start_multi_stop_of_files):
            with pytest.raises(MisuseError, match=r"channel [12] has no tags - channels with tags: (none|[123, ]+)$"):
                call(paths, 1, 2, Axis(5, 9, 5), backend="numpy", part_tags=part_tags)
        return
    if one.presence.missing:  # all tags of one of them are in gaps
        return
    delays = start_multi_stop_of_files(paths, 1, 2, Axis(5, 9, 5), backend="numpy", part_tags=part_tags)
    assert delays.counts.tolist() == starts.result.histogram.counts.tolist()
    found = g2_of_files(paths[::-1], 1, 2, AXIS, backend="numpy", part_tags=part_tags)
    assert found.counts.tolist() == one.result.counts.tolist()
    assert (found.starts, found.stops, found.live_ps) == (one.result.starts, one.result.stops, one.result.live_ps)
    assert found.expected.tolist() == one.result.expected.tolist()
    histogram = correlate_files(paths, 1, 2, AXIS, backend="numpy", part_tags=part_tags)
    assert histogram.counts.tolist() == one.result.counts.tolist()
    coincidences = coincidences_of_files(paths, SETS, 12, backend="numpy", part_tags=part_tags)
    assert coincidences.tolist() == many.counts.tolist()


def test_files_without_statistics_are_looked_through(tmp_path: Path) -> None:
    groups = [TagBlock.from_arrays([10, 20], [1, 2]), TagBlock.from_arrays([25, 40], [2, 1])]
    write_groups(tmp_path / "one.parquet", groups, [], statistics=False)
    # 20 - 10, 25 - 10 and 20 - 40, 25 - 40
    found = correlate_files([tmp_path / "one.parquet"], 1, 2, Axis(-20, 5, 8), part_tags=2)
    assert found.counts.tolist() == [1, 1, 0, 0, 0, 0, 1, 1]


def test_an_absent_channel_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    paths, _ = archive(tmp_path, [50] * 4, [])
    with pytest.raises(MisuseError, match="channel 7 has no tags - channels with tags: 1, 2, 3"):
        g2_of_files(paths, 1, 7, AXIS, part_tags=60)
    with pytest.raises(MisuseError, match="channel 9 has no tags - channels with tags: 1, 2, 3"):
        start_multi_stop_of_files(paths, 9, 1, Axis(0, 1, 1), part_tags=60)


def test_each_file_of_a_part_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, _ = archive(tmp_path, [5] * 40, [])
    opened = []
    real = pq.ParquetFile

    def counted(path: Path, **options: object) -> object:
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(pq, "ParquetFile", counted)
    correlate_files(paths, 1, 2, AXIS)
    # twice a file for the plan (row groups, gaps), once for its tags; once for each, were it a row group: 40 more
    assert len(opened) == 6


def test_processes_give_the_bits_of_threads(tmp_path: Path) -> None:
    paths, _ = archive(tmp_path, [500] * 6, [(3000, 3500)])
    threads = g2_of_files(paths, 1, 2, AXIS, part_tags=600)
    processes = g2_of_files(paths, 1, 2, AXIS, part_tags=600, scheduler="processes")
    assert threads.counts.sum() > 500
    np.testing.assert_array_equal(threads.counts, processes.counts)
    np.testing.assert_array_equal(threads.expected, processes.expected)


@pytest.mark.filterwarnings("default")
def test_a_local_cluster_of_two_workers_gives_the_same_bits(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="pip install 'qnode[cluster]'")
    paths, _ = archive(tmp_path, [500] * 6, [(3000, 3500)])
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        there = g2_of_files(paths, 1, 2, AXIS, part_tags=600, scheduler=cluster.scheduler_address)
    here = g2_of_files(paths, 1, 2, AXIS, part_tags=600)
    np.testing.assert_array_equal(there.counts, here.counts)
    np.testing.assert_array_equal(there.expected, here.expected)


@pytest.mark.filterwarnings("default")
def test_a_scheduler_without_workers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="pip install 'qnode[cluster]'")
    monkeypatch.setattr("qnode.tags._partitions.WORKERS_TIMEOUT_S", 0.2)
    paths, _ = archive(tmp_path, [50] * 4, [])
    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tcp", dashboard_address=None, silence_logs=50
    ) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(
            MisuseError, match=rf"the scheduler at {address} has had no worker for 0.2 s - start some"
        ):
            g2_of_files(paths, 1, 2, AXIS, scheduler=address)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("address", ["xyz://127.0.0.1:1", "tcp://127.0.0.1"])
def test_addresses_that_cannot_be(tmp_path: Path, address: str) -> None:
    pytest.importorskip("distributed", reason="pip install 'qnode[cluster]'")
    paths, _ = archive(tmp_path, [50] * 4, [])
    with pytest.raises(MisuseError, match=rf"scheduler '{address}': .* - give tcp://HOST:PORT"):
        g2_of_files(paths, 1, 2, AXIS, scheduler=address)


def test_what_cannot_be_shared_out_is_refused(tmp_path: Path) -> None:
    paths, _ = archive(tmp_path, [50] * 4, [])
    for name in (paths[0], str(paths[0])):
        with pytest.raises(MisuseError, match=r"one.parquet', no list of files - give \["):
            g2_of_files(name, 1, 2, AXIS)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(MisuseError, match="1 is no set of channels"):
        coincidences_of_files(paths, [1, 2], 10)  # type: ignore[list-item]  # what the test is about
    with pytest.raises(MisuseError, match="no files"):
        correlate_files([], 1, 2, AXIS)
    with pytest.raises(MisuseError, match=r"one.parquet \(row group 0\) starts at"):
        correlate_files([paths[0], paths[0]], 1, 2, AXIS)
    with pytest.raises(MisuseError, match="unknown scheduler 'slurm'"):
        correlate_files(paths, 1, 2, AXIS, scheduler="slurm")
