"""Files: what we write is read back by others (ptufile, pyarrow, struct), what others' layouts say is read by us."""

import io
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import ptufile
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.errors import MisuseError
from qnode.tags import (
    Backend,
    ClockModel,
    PpsClock,
    TagBlock,
    TruncatedFileWarning,
    merge_files,
    open_tags,
    read_tags,
    write_tags,
)
from qnode.tags._columns import ArrowWriter

BACKENDS: list[Backend] = ["numpy", "numba"]


def some_tags(count: int = 5000, channels: int = 4, seed: int = 1, step_ps: int = 100_000) -> TagBlock:
    rng = np.random.default_rng(seed)
    t_ps = np.cumsum(rng.exponential(step_ps, count)).astype(np.int64)
    return TagBlock.from_arrays(t_ps, rng.integers(1, channels + 1, count))


def same(found: TagBlock, wanted: TagBlock) -> None:
    np.testing.assert_array_equal(found.t_ps, wanted.t_ps)
    np.testing.assert_array_equal(found.channel, wanted.channel)


def pieces(block: TagBlock, size: int = 700) -> list[TagBlock]:
    return [TagBlock(block.t_ps[k : k + size], block.channel[k : k + size]) for k in range(0, len(block), size)]


def test_ptu_t2_is_read_back_by_ptufile(tmp_path: Path) -> None:
    block = some_tags()
    block.t_ps[2500:] += 10**9  # 30 overflows at once
    path = tmp_path / "run.ptu"
    assert write_tags(path, pieces(block), meta={"comment": "a run"}) == len(block)
    with ptufile.PtuFile(path) as ptu:
        assert ptu.comment == "a run"
        assert ptu.tags["TTResult_NumberOfRecords"] == len(ptu.read_records())
        records = ptu.decode_records()
    photons = records[records["channel"] >= 0]
    np.testing.assert_array_equal(photons["time"].astype(np.int64), block.t_ps)
    # ptufile gives the field of the record, which counts inputs from 0
    np.testing.assert_array_equal(photons["channel"] + 1, block.channel)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ptu_t2_there_and_back_in_small_blocks(tmp_path: Path, backend: Backend) -> None:
    block = some_tags(3000, channels=63)
    with_marks = TagBlock(
        block.t_ps, np.where(block.channel > 60, block.channel + 140, block.channel).astype(np.uint8)
    )
    path = tmp_path / "run.ptu"
    write_tags(path, with_marks)
    same(read_tags(path, backend=backend), with_marks)
    file = open_tags(path, backend=backend)
    same(TagBlock.concat(file.blocks(tags=97)), with_marks)
    assert file.truncated_bytes == 0
    assert file.done_bytes == file.size_bytes
    assert file.header["MeasDesc_GlobalResolution"] == 1e-12


def ptu_header(record_type: int, global_s: float, resolution_s: float, records: int = 0) -> bytes:
    tags = [
        ("Measurement_Mode", 0x10000008, struct.pack("<q", 3 if record_type & 0x300 == 0x300 else 2)),
        ("Measurement_SubMode", 0x10000008, struct.pack("<q", 1)),
        ("TTResultFormat_TTTRRecType", 0x10000008, struct.pack("<q", record_type)),
        ("TTResultFormat_BitsPerRecord", 0x10000008, struct.pack("<q", 32)),
        ("MeasDesc_GlobalResolution", 0x20000008, struct.pack("<d", global_s)),
        ("MeasDesc_Resolution", 0x20000008, struct.pack("<d", resolution_s)),
        ("TTResult_NumberOfRecords", 0x10000008, struct.pack("<q", records)),
        ("Header_End", 0xFFFF0008, struct.pack("<q", 0)),
    ]
    body = b"".join(struct.pack("<32siI", name.encode(), -1, kind) + value for name, kind, value in tags)
    return b"PQTTTR\0\0" + b"1.0.00\0\0" + body


RECORD_TYPES = [
    0x00010203, 0x00010303, 0x00010204, 0x00010304, 0x01010204, 0x01010304,
    0x00010205, 0x00010305, 0x00010206, 0x00010306, 0x00010207, 0x00010307,
]  # fmt: skip


@pytest.mark.parametrize("record_type", RECORD_TYPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_all_record_types_agree_with_ptufile(tmp_path: Path, record_type: int, backend: Backend) -> None:
    """Records drawn at random, overflows and markers among them: times must agree with ptufile to the bit."""
    rng = np.random.default_rng(record_type)
    count = 4000
    t3 = record_type & 0xF00 == 0x300
    records = np.empty(count, np.uint32)
    for k in range(count):
        kind, value = rng.random(), int(rng.integers(0, 1 << 10))
        if record_type in (0x00010203, 0x00010303):
            if kind < 0.2:
                records[k] = 15 << 28 | (value if t3 else 0)  # overflow
            elif t3:
                records[k] = int(rng.integers(1, 5)) << 28 | value << 16 | int(rng.integers(0, 1 << 16))
            else:
                records[k] = int(rng.integers(0, 4)) << 28 | int(rng.integers(0, 1 << 28))
        elif kind < 0.2:
            records[k] = 127 << 25 | int(rng.integers(0, 4))
        elif t3:
            records[k] = int(rng.integers(0, 8)) << 25 | value << 10 | int(rng.integers(0, 1 << 10))
        else:
            records[k] = int(rng.integers(0, 8)) << 25 | int(rng.integers(0, 1 << 25))
    resolution_ps, sync_ps = (4, 50_000) if t3 else (4, 4)
    path = tmp_path / "run.ptu"
    header = ptu_header(record_type, sync_ps * 1e-12, resolution_ps * 1e-12, count)
    path.write_bytes(header + records.tobytes())
    with ptufile.PtuFile(path) as ptu:
        decoded = ptu.decode_records()
    photons = decoded[decoded["channel"] >= 0]
    expected = photons["time"].astype(np.int64) * sync_ps
    if t3:
        expected += photons["dtime"].astype(np.int64) * resolution_ps
    # the records are random, so the file is not sorted: blocks, not read_tags
    found = list(open_tags(path, backend=backend).blocks(tags=1000))
    np.testing.assert_array_equal(np.concatenate([block.t_ps for block in found]), expected)


def test_ptu_marker_and_sync_channels(tmp_path: Path) -> None:
    # sync at 7, marker 2 at 9, input 1 at 11 (channel field 0)
    records = struct.pack("<3I", 64 << 25 | 7, 66 << 25 | 9, 11)
    path = tmp_path / "marks.ptu"
    path.write_bytes(ptu_header(0x00010207, 1e-12, 1e-12) + records)
    for backend in BACKENDS:
        block = read_tags(path, backend=backend)
        assert block.t_ps.tolist() == [7, 9, 11]
        assert block.channel.tolist() == [200, 202, 1]


def test_truncated_ptu_is_read_to_its_last_record(tmp_path: Path) -> None:
    path = tmp_path / "cut.ptu"
    write_tags(path, some_tags(100))
    whole = path.read_bytes()
    path.write_bytes(whole[:-6])
    file = open_tags(path)
    assert len(TagBlock.concat(file)) == 98
    assert file.truncated_bytes == 2
    assert "2 bytes after the last whole record were left out; the header promises " in file.truncation
    path.write_bytes(whole[:-4])  # cut between two records: only the header knows
    file = open_tags(path)
    assert len(TagBlock.concat(file)) == 99
    assert file.truncated_bytes == 0
    assert file.truncation.startswith("the header promises ")
    with pytest.warns(TruncatedFileWarning, match="cut.ptu: truncated, the header promises "):
        assert len(read_tags(path)) == 99
    path.write_bytes(whole)
    assert len(read_tags(path)) == 100


def t3_file(path: Path, photons: list[tuple[int, int]], channels: list[int]) -> None:
    """T3 of (sync, dtime): sync period 1 ns, dtime in 100 ps, syncs below 1024."""
    words = [
        (channel - 1) << 25 | dtime << 10 | sync for (sync, dtime), channel in zip(photons, channels, strict=True)
    ]
    path.write_bytes(ptu_header(0x00010307, 1e-9, 1e-10, len(words)) + struct.pack(f"<{len(words)}I", *words))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_photons_of_one_t3_sync_come_in_the_order_of_time(tmp_path: Path, size: int) -> None:
    path = tmp_path / "flim.ptu"
    # input 2 is read out after input 1 though its photon came first; a dtime may pass the sync period
    t3_file(path, [(0, 3), (5, 30), (5, 2), (6, 1), (6, 0), (9, 5)], [1, 1, 2, 1, 2, 1])
    block = TagBlock.concat(open_tags(path).blocks(size))
    assert block.t_ps.tolist() == [300, 5200, 6000, 6100, 8000, 9500]
    assert block.channel.tolist() == [1, 2, 2, 1, 1, 1]
    same(read_tags(path), block)


def test_t3_syncs_that_go_back_are_no_matter_of_order(tmp_path: Path) -> None:
    path = tmp_path / "bad.ptu"
    t3_file(path, [(5, 0), (7, 0), (6, 0)], [1, 1, 1])
    with pytest.raises(MisuseError, match=r"bad.ptu: t_ps is not sorted: t_ps\[2\] = 6000 after 7000"):
        read_tags(path)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1023), st.integers(0, 200)), max_size=60), st.integers(1, 20))
def test_t3_does_not_depend_on_the_block(
    tmp_path_factory: pytest.TempPathFactory, photons: list[tuple[int, int]], size: int
) -> None:
    photons.sort(key=lambda photon: photon[0])
    path = tmp_path_factory.mktemp("t3") / "run.ptu"
    t3_file(path, photons, [1 + k % 3 for k in range(len(photons))])
    expected = sorted((1000 * sync + 100 * dtime, k) for k, (sync, dtime) in enumerate(photons))
    found = TagBlock.concat(open_tags(path).blocks(size))
    assert found.t_ps.tolist() == [time for time, _ in expected]
    assert found.channel.tolist() == [1 + k % 3 for _, k in expected]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"PQTTTR\0\0" + b"1.0.00\0\0" + b"x" * 20, "the header ends at byte 16"),
        (ptu_header(0x00010209, 1e-12, 0), "the record type is 0x00010209"),
        (ptu_header(0x00010207, 0, 0), "MeasDesc_GlobalResolution is missing or 0"),
        (ptu_header(0x00010207, float("nan"), 0), "bad.ptu: MeasDesc_GlobalResolution is nan, no length of time"),
        (ptu_header(0x00010307, 1e-9, float("inf")), "bad.ptu: MeasDesc_Resolution is inf, no length of time"),
    ],
)
def test_bad_ptu_headers_say_where(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "bad.ptu"
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=text):
        read_tags(path)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(
    ("record_type", "unit_ps", "overflows", "wrap"),
    [  # the most overflows that one record stands for, and how many units each of them is
        (0x00010207, 1, 2**25 - 1, 2**25),
        (0x00010207, 25, 2**25 - 1, 2**25),
        (0x00010207, 25.5, 2**25 - 1, 2**25),
        (0x00010307, 10**9, 1023, 1024),
    ],
)
def test_ptu_times_that_leave_the_reach_name_the_record(
    tmp_path: Path, record_type: int, unit_ps: float, overflows: int, wrap: int, backend: Backend
) -> None:
    one = 127 << 25 | overflows
    allowed = int(2**61 // (unit_ps * overflows * wrap))
    good = [one] * allowed + [7]
    path = tmp_path / "long.ptu"
    for words, fits in ((good, True), ([one] * 5 * allowed + [7], False), ([one] * 100_000 + [7], False)):
        path.write_bytes(
            ptu_header(record_type, unit_ps * 1e-12, 1e-12, len(words)) + struct.pack(f"<{len(words)}I", *words)
        )
        if fits:
            assert read_tags(path, backend=backend).t_ps[0] > 2**60
            continue
        with pytest.raises(MisuseError, match=rf"long.ptu: record {allowed}: the time passes 2\*\*61 ps"):
            read_tags(path, backend=backend)


def test_a_ptu_tag_itself_may_leave_the_reach(tmp_path: Path) -> None:
    # 2**61 ps are 2**61 / 2**25 = 2**36 overflows: 2048 records of 2**25 - 1, one of 2047, and one more
    words = [127 << 25 | 2**25 - 1] * 2048 + [127 << 25 | 2047, 2**25 - 1, 127 << 25 | 1, 0]
    path = tmp_path / "long.ptu"
    path.write_bytes(ptu_header(0x00010207, 1e-12, 1e-12) + struct.pack("<2052I", *words))
    with pytest.raises(MisuseError, match=r"long.ptu: record 2051: the time passes"):
        read_tags(path)
    path.write_bytes(ptu_header(0x00010207, 1e-12, 1e-12) + struct.pack("<2050I", *words[:2050]))
    assert read_tags(path).t_ps.tolist() == [2**61 - 1]


@pytest.mark.parametrize(
    ("t_ps", "channel", "text"),
    [
        ([1], [64], r"channel\[0\] = 64 does not fit"),
        ([-1], [1], "starts at -1 ps, before 0"),
        ([0, 1 << 51], [1, 1], "nothing for 18 min before"),
    ],
)
def test_what_ptu_cannot_hold_is_refused(tmp_path: Path, t_ps: list[int], channel: list[int], text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        write_tags(tmp_path / "no.ptu", TagBlock.from_arrays(t_ps, channel))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["run.arrow", "run.parquet"])
def test_columns_there_and_back_with_gaps(tmp_path: Path, name: str) -> None:
    block = some_tags(2000)
    middle = int(block.t_ps[1000])
    parts = pieces(block)
    parts[1] = TagBlock(parts[1].t_ps, parts[1].channel, np.array([[middle, middle + 1]]), overflow=True)
    path = tmp_path / name
    write_tags(path, parts, meta={"run": "42"})
    found = read_tags(path)
    same(found, block)
    assert found.gaps.tolist() == [[middle, middle + 1]]
    assert found.overflow
    assert open_tags(path).truncated_bytes == 0


def test_parquet_is_plain_parquet(tmp_path: Path) -> None:
    block = some_tags(50_000, step_ps=100_000)
    path = tmp_path / "run.parquet"
    write_tags(path, block, meta={"run": "42"})
    table = pq.read_table(path)
    assert table.schema.field("t_ps").type == pa.int64()
    assert table.schema.field("channel").type == pa.uint8()
    assert table.schema.metadata[b"run"] == b"42"
    np.testing.assert_array_equal(table["t_ps"].to_numpy(), block.t_ps)
    assert path.stat().st_size / len(block) < 3.2


def schema_only() -> bytes:
    sink = io.BytesIO()
    sink.close, keep = (lambda: None), sink.close  # type: ignore[method-assign]
    ArrowWriter(sink).close()
    data = sink.getvalue()
    keep()
    return data


def test_a_spool_cut_anywhere_gives_its_whole_batches(tmp_path: Path) -> None:
    sink = io.BytesIO()
    sink.close, keep = (lambda: None), sink.close  # type: ignore[method-assign]
    writer = ArrowWriter(sink)
    start = len(schema_only()) - 8  # the schema comes out with the first batch, an end mark has 8 bytes
    ends = []
    parts = pieces(some_tags(2000), 500)
    for part in parts:
        writer.write(part)
        ends.append(sink.tell())
    writer.close()
    whole = sink.getvalue()
    keep()
    path = tmp_path / "run.arrow"
    for cut in [ends[0] - 3, ends[0], ends[1] + 5, ends[2] + 1000, ends[3], len(whole)]:
        path.write_bytes(whole[:cut])
        file = open_tags(path)
        got = list(file)
        count = sum(end <= cut for end in ends)
        assert len(got) == count
        assert sum(map(len, got)) == 500 * count
        assert file.truncated_bytes == (0 if cut in (len(whole), ends[count - 1]) else cut - [start, *ends][count])
        wanted = "no end mark" if cut in ends else "after the last whole batch" if cut < len(whole) else ""
        assert wanted in file.truncation
        assert bool(file.truncation) == (cut < len(whole))
    for cut in range(ends[3] + 1, len(whole)):  # inside the end mark
        path.write_bytes(whole[:cut])
        with pytest.warns(TruncatedFileWarning, match=f"truncated, {cut - ends[3]} bytes after the last whole batch"):
            assert len(read_tags(path)) == 2000
    path.write_bytes(whole[:start])
    with pytest.warns(TruncatedFileWarning, match="no end mark"):
        assert len(read_tags(path)) == 0
    path.write_bytes(whole[: start - 8])
    with pytest.raises(MisuseError, match="is no Arrow stream of tags"):
        read_tags(path)


def test_gaps_of_a_spool_that_grows_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.arrow"
    with path.open("wb", buffering=0) as sink:
        writer = ArrowWriter(sink)
        writer.write(TagBlock.from_arrays([10], [1]))
        writer.write(TagBlock.from_arrays([20], [1], gaps=[(5, 8)]))
        blocks = open_tags(path).blocks()  # knows the gaps up to here
        writer.write(TagBlock.from_arrays([30], [1], gaps=[(21, 25)]))
        assert [block.gaps.tolist() for block in blocks] == [[[5, 8]], [], [[21, 25]]]


def test_idq_files_take_their_channel_from_the_name(tmp_path: Path) -> None:
    block = TagBlock.from_arrays([5, 7, 2**50], [3, 3, 3])
    for name in ("timestamps_C3.bin", "timestamps_C3.txt"):
        write_tags(tmp_path / name, block)
        same(read_tags(tmp_path / name), block)
    assert (tmp_path / "timestamps_C3.bin").read_bytes() == struct.pack("<3Q", 5, 7, 2**50)
    assert (tmp_path / "timestamps_C3.txt").read_text() == "5\n7\n1125899906842624\n"
    write_tags(tmp_path / "plain.bin", block)
    with pytest.raises(MisuseError, match="the name says no channel"):
        read_tags(tmp_path / "plain.bin")
    assert read_tags(tmp_path / "plain.bin", channel=9).channel.tolist() == [9, 9, 9]
    with pytest.raises(MisuseError, match="one channel a file, the tags have 1 and 2"):
        write_tags(tmp_path / "two_C1.bin", TagBlock.from_arrays([1, 2], [1, 2]))


def test_cut_and_broken_ascii(tmp_path: Path) -> None:
    path = tmp_path / "timestamps_C1.txt"
    path.write_text("# ps\n1\n2\n30")
    file = open_tags(path)
    assert TagBlock.concat(file).t_ps.tolist() == [1, 2]
    assert file.truncated_bytes == 2
    path.write_text("1\n2\nx\n")
    with pytest.raises(MisuseError, match=r"timestamps_C1.txt:3: b'x' is no integer"):
        read_tags(path)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 100), st.integers(1, 3000))
def test_tdc1_words_there_and_back(tmp_path_factory: pytest.TempPathFactory, seed: int, size: int) -> None:
    block = some_tags(3000, seed=seed, step_ps=10**9)
    path = tmp_path_factory.mktemp("tdc1") / "run.tdc1"
    write_tags(path, pieces(block, size))
    found = read_tags(path)
    # tags of one 2 ns step come in the order of channels
    np.testing.assert_array_equal(found.t_ps, block.t_ps // 2000 * 2000)
    assert len(found.gaps) == 0
    assert np.bincount(found.channel).tolist() == np.bincount(block.channel).tolist()


@pytest.mark.parametrize("name", ["qcrypto_a1", "qcrypto_a1_legacy"])
def test_a1_by_hand(tmp_path: Path, name: str) -> None:
    # 256 units = 1 ns; a dummy word; both of channels 1 and 4
    words = [256 << 10 | 1, 300 << 10 | 0x10, 2560 << 10 | 0b1001]
    halves = [(word & 0xFFFFFFFF, word >> 32) for word in words]
    if name.endswith("legacy"):
        halves = [(high, low) for low, high in halves]
    path = tmp_path / "run.a1"
    path.write_bytes(b"".join(struct.pack("<2I", *pair) for pair in halves))
    block = read_tags(path, name)
    assert block.t_ps.tolist() == [1000, 10_000, 10_000]
    assert block.channel.tolist() == [1, 1, 4]


def test_a1_there_and_back_to_its_unit(tmp_path: Path) -> None:
    block = some_tags(2000)
    write_tags(tmp_path / "run.a1", pieces(block))
    found = read_tags(tmp_path / "run.a1")
    assert np.abs(found.t_ps - block.t_ps).max() <= 2
    np.testing.assert_array_equal(found.channel, block.channel)


def test_a1_wraps_are_undone(tmp_path: Path) -> None:
    path = tmp_path / "run.a1"
    path.write_bytes(struct.pack("<2Q", (2**54 - 256) << 10 | 1, 256 << 10 | 2))
    assert np.diff(read_tags(path).t_ps).tolist() == [2000]


def test_qutag_binary(tmp_path: Path) -> None:
    path = tmp_path / "run.qutag"
    path.write_bytes(b"h" * 40 + struct.pack("<QHQHQH", 5, 0, 8, 1, 9, 4) + b"\1\2\3")
    file = open_tags(path)
    block = TagBlock.concat(file.blocks(tags=1))
    assert block.t_ps.tolist() == [5, 8, 9]
    assert block.channel.tolist() == [200, 1, 4]
    assert file.truncated_bytes == 3
    path.write_bytes(b"h" * 39)
    file = open_tags(path)
    assert sum(map(len, file)) == 0
    assert file.truncated_bytes == 39


def test_idq_with_references(tmp_path: Path) -> None:
    path = tmp_path / "timestamps_C2.bin"
    path.write_bytes(struct.pack("<6Q", 0, 17, 3, 5, 3, 900) + b"cut")
    file = open_tags(path, "idq_u64_ref", ref_period_ps=1000)
    block = TagBlock.concat(file)
    assert block.t_ps.tolist() == [17, 3005, 3900]
    assert block.channel.tolist() == [2, 2, 2]
    assert file.truncated_bytes == 3
    with pytest.raises(MisuseError, match=r"whose period is not given - pass ref_period_ps \(--ref-period-ps\)"):
        read_tags(path, "idq_u64_ref")
    path.write_bytes(struct.pack("<2Q", 2**50, 0))
    with pytest.raises(MisuseError, match="reference 1125899906842624 x 10000 ps is outside"):
        read_tags(path, "idq_u64_ref", ref_period_ps=10_000)


@pytest.mark.filterwarnings("ignore::qnode.tags.TruncatedFileWarning")
def test_a_tdc1_file_counts_its_own_end_only(tmp_path: Path) -> None:
    """A byte lost in the middle is a gap; what the end cuts is truncated, and a gap, as bytes may have been lost there."""
    path = tmp_path / "run.tdc1"
    units = np.cumsum(np.random.default_rng(1).integers(1, 2000, 400))
    words = (units << 5 | 1 << np.arange(400) % 3).astype("<u4").tobytes()
    for data, gaps, cut in (
        (words[:-1], 1, 3),
        (words[:801] + words[802:], 1, 0),
        (words[:801] + words[802:-1], 2, 3),
    ):
        path.write_bytes(data)
        file = open_tags(path)
        assert sum(len(block.gaps) for block in file) == gaps
        assert file.truncated_bytes == cut


def test_a_clock_goes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.arrow"
    t_ps = [10**12, 10**12 + 5, 2 * 10**12 + 200, 3 * 10**12 + 400]
    write_tags(path, TagBlock.from_arrays(t_ps, [1, 2, 1, 1]))
    ahead = read_tags(path, clock=ClockModel(offset_ps=7, skew=1e-6))
    assert ahead.t_ps.tolist() == [t + 7 + round(t * 1e-6) for t in t_ps]
    file = open_tags(path, clock=PpsClock(1, first_label_ps=50))
    for _ in range(2):  # the clock starts anew with each iteration
        assert TagBlock.concat(file.blocks(2)).t_ps.tolist() == [50, 55, 10**12 + 50, 2 * 10**12 + 50]


def test_ttbin_needs_its_makers_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.ttbin"
    path.write_bytes(b"closed")
    with pytest.raises(MisuseError, match="pip install Swabian-TimeTagger"):
        read_tags(path)

    class Reader:
        def __init__(self, name: str) -> None:
            assert name == str(path)
            self.left = True

        def hasData(self) -> bool:  # noqa: N802 - vendor's name
            return self.left

        def getData(self, n_events: int) -> object:  # noqa: N802 - vendor's name
            self.left = False
            return SimpleNamespace(
                getTimestamps=lambda: np.array([1, 4, 9, 20]),
                getChannels=lambda: np.array([1, 0, 0, -2], np.int32),
                getEventTypes=lambda: np.array([0, 2, 3, 0], np.uint8),
            )

    maker = SimpleNamespace(__spec__=SimpleNamespace(name="Swabian"), __path__=[])
    monkeypatch.setitem(sys.modules, "Swabian", maker)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "Swabian.TimeTagger", SimpleNamespace(FileReader=Reader))  # type: ignore[arg-type]
    block = read_tags(path)
    assert block.t_ps.tolist() == [1, 20]
    assert block.channel.tolist() == [1, 130]
    assert block.gaps.tolist() == [[4, 10]]
    assert block.overflow


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 50), max_size=30), max_size=4), st.integers(1, 7))
def test_merged_files_are_merged_tags(streams: list[list[int]], size: int) -> None:
    blocks = [TagBlock.from_arrays(sorted(times), [k + 1] * len(times)) for k, times in enumerate(streams)]
    found = TagBlock.concat(merge_files([pieces(block, size) for block in blocks]))
    expected = sorted((time, k + 1) for k, times in enumerate(streams) for time in times)
    assert found.t_ps.tolist() == [time for time, _ in expected]
    assert found.channel.tolist() == [channel for _, channel in expected]


def foreign(path: Path, t_ps: object, channel: object, **more: object) -> Path:
    """A file that another program wrote."""
    table = pa.table({**more, "channel": channel, "t_ps": t_ps})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize("name", ["other.parquet", "other.arrow"])
def test_columns_of_others(tmp_path: Path, name: str) -> None:
    """Other integers, other columns, another order are read; what can't be tags is refused."""
    path = tmp_path / name
    block = read_tags(foreign(path, pa.array([1, 2], pa.uint64()), pa.array([1, 9], pa.int16()), why=["a", "b"]))
    assert block.t_ps.tolist() == [1, 2]
    assert block.channel.tolist() == [1, 9]
    ones = pa.array([1, 2], pa.uint8())
    for t_ps, channel, text in (
        ([0.5, 1.0], ones, "other.*: t_ps is double - t_ps is integer picoseconds"),
        ([1, 2], ["a", "b"], "other.*: channel is string"),
        ([1, None], ones, "other.*: 1 of t_ps are null"),
        ([1, 2], pa.array([None, 1], pa.uint8()), "other.*: 1 of channel are null"),
        ([1, 2], pa.array([1, 0], pa.uint8()), r"other.*: channel\[1\] = 0 is out of range"),
        ([1, 2], [1, 256], r"other.*: channel\[1\] = 256 is out of range"),
        ([2, 1], ones, r"other.*: t_ps is not sorted: t_ps\[1\] = 1 after 2"),
    ):
        with pytest.raises(MisuseError, match=text):
            read_tags(foreign(path, t_ps, channel))
    pq.write_table(pa.table({"t": [1]}), path) if name.endswith("parquet") else foreign(path, [1], [1])
    if name.endswith("parquet"):
        with pytest.raises(MisuseError, match=r"has columns \['t'\]"):
            read_tags(path)


def test_gaps_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    for text, error in ((b"{", "no list of gaps"), (b"[[1.5, 2]]", "gaps are float64")):
        pq.write_table(pa.table({"t_ps": [1], "channel": [1]}).replace_schema_metadata({b"qnode.gaps": text}), path)
        with pytest.raises(MisuseError, match=error):
            read_tags(path)


def test_a_broken_page_names_the_file_and_the_tag(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    write_tags(path, some_tags(100_000))
    data = bytearray(path.read_bytes())
    data[1000:60_000] = b"\xff" * 59_000
    path.write_bytes(data)
    with pytest.raises(MisuseError, match=r"run.parquet: tags from 0 on can't be read"):
        read_tags(path)


def test_row_groups_hold_a_million_tags_however_small_the_blocks_are(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    block = some_tags(100_000, step_ps=100)
    write_tags(path, pieces(block, 300))
    assert pq.ParquetFile(path).num_row_groups == 1
    same(read_tags(path), block)
    large = TagBlock.from_arrays(np.arange(2_500_000), np.ones(2_500_000, np.uint8))
    for parts in (large, pieces(large, 400_000)):
        write_tags(path, parts)
        meta = pq.ParquetFile(path).metadata
        assert [meta.row_group(k).num_rows for k in range(meta.num_row_groups)] == [2**20, 2**20, 2_500_000 - 2**21]
    same(read_tags(path), large)


@pytest.mark.parametrize("name", ["x.arrow", "x.parquet", "x.ptu", "x_C1.bin", "x_C1.txt", "x.tdc1", "x.a1"])
def test_wrong_tags_are_not_written(tmp_path: Path, name: str) -> None:
    first = TagBlock.from_arrays([10_000, 20_000], [1, 1])
    for blocks, text in (
        (
            [first, TagBlock.from_arrays([30_000, 29_999], [1, 1])],
            r"from tag 2 on, t_ps is not sorted: t_ps\[1\] = 29999",
        ),
        (
            [first, TagBlock.from_arrays([19_000], [1])],
            "from tag 2 on, a block starts at 19000 ps, before the last one's",
        ),
        ([first, TagBlock(np.array([30_000]), np.zeros(1, np.uint8))], r"from tag 2 on, channel\[0\] = 0 is out of"),
    ):
        with pytest.raises(MisuseError, match=rf"{name} is not written: in the block {text}"):
            write_tags(tmp_path / name, blocks)
    if name not in ("x.arrow", "x.parquet"):
        with pytest.raises(MisuseError, match="-5"):
            write_tags(tmp_path / name, TagBlock.from_arrays([-5, 3], [1, 1]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.ptu", "x_C1.bin", "x_C1.txt", "x.tdc1", "x.a1"])
def test_gaps_are_not_lost_in_silence(tmp_path: Path, name: str) -> None:
    tags = TagBlock.from_arrays([10_000, 20_000, 30_000], [1, 1, 1], gaps=[(15_000, 25_000)])
    with pytest.raises(MisuseError, match=r"the tags have a gap from 15000 to 25000 ps.*--lossy"):
        write_tags(tmp_path / name, tags)
    assert write_tags(tmp_path / name, tags, lossy=True) == 2
    assert read_tags(tmp_path / name).t_ps.tolist() == [10_000, 30_000]


@pytest.mark.parametrize(("name", "unit_ps"), [("x.tdc1", 2000), ("x.a1", 4)])
@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_tags_that_become_one_are_refused_or_counted(tmp_path: Path, name: str, unit_ps: int, size: int) -> None:
    # by hand: units 0 (channel 1 twice, channel 2), 5 (channel 1), 9 (channel 3 three times)
    t_ps = np.array([0, 0, 1, 5 * unit_ps, 9 * unit_ps, 9 * unit_ps + 1, 9 * unit_ps + 1])
    block = TagBlock.from_arrays(t_ps, [1, 2, 1, 1, 3, 3, 3])
    with pytest.raises(
        MisuseError, match="2 tags of channel 1 at 0 ps fall into one unit of its time and would become"
    ):
        write_tags(tmp_path / name, pieces(block, size))
    assert list(tmp_path.iterdir()) == []
    assert write_tags(tmp_path / name, pieces(block, size), lossy=True) == 4
    found = read_tags(tmp_path / name)
    assert found.channel.tolist() == [1, 2, 1, 3]
    assert np.abs(found.t_ps - [0, 0, 5 * unit_ps, 9 * unit_ps]).max() <= 2


def test_what_a1_cannot_hold_is_refused(tmp_path: Path) -> None:
    hour = 3600 * 10**12
    for t_ps, text in (
        ([20 * hour], "the first tag is at 720000"),
        ([0, 10 * hour], "nothing for 9.7 h before 360000"),
    ):
        with pytest.raises(MisuseError, match=text):
            write_tags(tmp_path / "x.a1", TagBlock.from_arrays(t_ps, [1] * len(t_ps)))


def test_ascii_numbers_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x_C1.txt"
    path.write_text(f"1\n{2**63}\n")
    with pytest.raises(MisuseError, match=r"x_C1.txt: a time before line 3 is outside"):
        read_tags(path)


def test_formats_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "run.dat"
    path.write_bytes(b"1234")
    for call, text in (
        (lambda: read_tags(path), "the format can't be told from the name"),
        (lambda: read_tags(path, "hdf5"), "unknown tag format 'hdf5'"),
        (lambda: read_tags(tmp_path / "none.ptu"), "none.ptu is no file"),
        (lambda: write_tags(tmp_path / "x.ttbin", some_tags(3)), "can't write 'ttbin'"),
        (lambda: read_tags(path, "parquet"), "is no whole Parquet file"),
        (lambda: read_tags(path, "arrow"), "is no Arrow stream"),
        (lambda: read_tags(path, "ptu"), "is no PTU file"),
    ):
        with pytest.raises(MisuseError, match=text):
            call()
