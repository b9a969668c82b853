from __future__ import annotations

import asyncio
import os
import resource
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from qnode.errors import MisuseError
from qnode.runs import Journal, JournalError, Record

WRITER = """
import sys
from pathlib import Path
from qnode.runs import Journal
journal = Journal(Path(sys.argv[1]))
while True:
    print(journal.append(b"x" * 100), flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "heralds.journal"


def fill(path: Path, n: int) -> None:
    with Journal(path) as journal:
        for number in range(1, n + 1):
            journal.append(b"payload %d" % number)


def test_the_file_is_as_its_docstring_says(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(b"abc", kind=7, wall_ns=-5)
    sealed = struct.pack("<QqB", 1, -5, 7) + b"abc"
    assert path.read_bytes() == b"QNJRNL1\n" + struct.pack("<II", 3, zlib.crc32(sealed)) + sealed


@pytest.mark.parametrize(
    ("first", "last"), [(1, 1), (1, 1000), (500, 700), (64, 65), (65, 128), (1000, 1000), (0, 3)]
)
def test_a_range_is_read_whole_and_nothing_else(path: Path, first: int, last: int) -> None:
    fill(path, 1000)
    for readonly in (False, True):
        with Journal(path, readonly=readonly) as journal:
            expected = [(n, b"payload %d" % n) for n in range(max(first, 1), last + 1)]
            assert [(record.seq, record.payload) for record in journal.read(first, last)] == expected


def test_ranges_outside_are_empty_and_bytes_bound_a_read(path: Path) -> None:
    fill(path, 10)
    with Journal(path) as journal:
        assert list(journal.read(11)) == []
        assert list(journal.read(5, 4)) == []
        assert [record.seq for record in journal.read(2, max_bytes=20)] == [2, 3, 4]
        assert (len(journal), journal.first_seq, journal.last_seq) == (10, 1, 10)


def test_numbers_of_the_writer_s_own_are_kept_and_found(path: Path) -> None:
    with Journal(path) as journal:
        for seq in range(10, 2000, 10):
            assert journal.append(b"%d" % seq, seq=seq) == seq
        assert [record.seq for record in journal.read(995, 1021)] == [1000, 1010, 1020]
        with pytest.raises(MisuseError, match="record 1990 after record 1990"):
            journal.append(b"", seq=1990)
        assert journal.append(b"") == 1991


def test_records_of_any_size_come_back(path: Path) -> None:
    sizes = [0, 1, 262_144 - 25, 262_144, 3_000_000, 5]
    with Journal(path) as journal:
        for size in sizes:
            journal.append(os.urandom(1) * size)
        assert [len(record.payload) for record in journal] == sizes
        with pytest.raises(MisuseError, match="the most is 64 MiB"):
            journal.append(bytes(64 * 1024 * 1024 + 1))
        with pytest.raises(MisuseError, match="kind 256"):
            journal.append(b"", kind=256)
        assert len(journal) == len(sizes)


@pytest.mark.parametrize("bytes_left", [1, 7, 8, 24, 25, 26, 34])
def test_a_torn_tail_is_cut_with_a_message_wherever_it_tore(path: Path, bytes_left: int) -> None:
    fill(path, 3)
    two = path.read_bytes()[: 8 + 2 * (25 + 9)]
    path.write_bytes(path.read_bytes()[: len(two) + min(bytes_left, 33)])
    if bytes_left == 34:  # all there, the last byte wrong
        fill_byte = path.read_bytes()
        path.write_bytes(fill_byte + b"?")
    with Journal(path) as journal:
        assert journal.last_seq == 2
        assert f"cut {min(bytes_left, 34)} bytes of a torn record after record 2" in journal.cut
        assert path.read_bytes() == two
        assert journal.append(b"again") == 3
    with Journal(path) as journal:
        assert journal.cut == ""
        assert [record.payload for record in journal] == [b"payload 1", b"payload 2", b"again"]


@pytest.mark.parametrize("where", [0, 4, 8, 25, 33])
def test_damage_in_the_middle_is_refused_and_never_cut(path: Path, where: int) -> None:
    fill(path, 5)
    data = bytearray(path.read_bytes())
    data[8 + 34 + where] ^= 0x5A  # in the second of the records of 34 bytes
    path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged at byte 42, after record 1"):
        Journal(path)
    assert path.read_bytes() == data


def test_pages_of_zeros_at_the_end_are_a_torn_tail(path: Path) -> None:
    fill(path, 3)
    with path.open("ab") as file:
        file.write(bytes(4096))
    with Journal(path) as journal:
        assert journal.last_seq == 3
        assert "cut 4096 bytes" in journal.cut


def test_something_else_is_not_overwritten(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("notes of the beam time")
    with pytest.raises(JournalError, match="is not a journal"):
        Journal(path)
    assert path.read_text() == "notes of the beam time"


@pytest.mark.parametrize("size", [0, 3])
def test_a_file_killed_at_its_very_beginning_is_a_new_journal(path: Path, size: int) -> None:
    path.parent.mkdir()
    path.write_bytes(b"QNJRNL1\n"[:size])
    with Journal(path) as journal:
        journal.append(b"first")
    with Journal(path) as journal:
        assert [record.payload for record in journal] == [b"first"]


def test_one_writes_and_others_read(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(b"first")
        with pytest.raises(MisuseError, match="is being written by another process"):
            Journal(path)
        with Journal(path, readonly=True) as reader:
            assert [record.payload for record in reader] == [b"first"]
            with pytest.raises(MisuseError, match="read-only"):
                reader.append(b"second")
    with pytest.raises(MisuseError, match="is closed"):
        journal.append(b"third")
    with pytest.raises(MisuseError, match="there is no journal"):
        Journal(path.with_name("other"), readonly=True)


def test_nothing_of_a_writer_killed_at_random_is_lost(path: Path) -> None:
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(200):
            told = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().splitlines(keepends=True)
        writer.wait(10)
        writer.stdout.close()
        told = max([told, *(int(line) for line in rest if line.endswith(b"\n"))])
        with Journal(path) as journal:
            assert journal.last_seq >= told
            assert [record.seq for record in journal] == list(range(1, journal.last_seq + 1))


def test_a_full_disk_is_named_and_leaves_no_half_record(path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with Journal(path) as journal:
            journal.append(b"x" * 1000)
            whole = path.read_bytes()
            # Room for a part of the next record only: the first write is short, the second fails.
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 300, limits[1]))
            for _ in range(2):
                with pytest.raises(JournalError, match="record 2 could not be written: no room left - free space"):
                    journal.append(b"y" * 1000)
                assert path.read_bytes() == whole
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert journal.append(b"z" * 1000) == 2
            assert [record.payload[:1] for record in journal] == [b"x", b"z"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_sync_makes_durable_and_groups_its_callers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    real = os.fdatasync

    def counting(fd: int) -> None:
        nonlocal syncs
        syncs += 1
        real(fd)

    async def work() -> None:
        with Journal(path, gather_s=0.05) as journal:

            async def one(number: int) -> None:
                seq = journal.append(b"%d" % number)
                await journal.sync()
                assert journal.durable_seq >= seq

            await asyncio.gather(*(one(number) for number in range(20)))
            assert journal.durable_seq == 20
            assert syncs <= 2
            await journal.sync()  # nothing to do
            assert syncs <= 2

    monkeypatch.setattr(os, "fdatasync", counting)
    asyncio.run(asyncio.wait_for(work(), 20))


def test_a_full_group_does_not_wait(path: Path) -> None:
    async def work() -> None:
        with Journal(path, gather_s=3600.0, gather_records=64) as journal:
            journal.append(b"first")
            syncing = asyncio.create_task(journal.sync())
            await asyncio.sleep(0)
            for _ in range(63):
                journal.append(b"")
            await syncing
            assert journal.durable_seq == 64

    asyncio.run(asyncio.wait_for(work(), 20))


def test_after_a_failed_sync_a_journal_takes_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(fd: int) -> None:
        raise OSError(5, "Input/output error")

    async def work() -> None:
        journal = Journal(path)
        journal.append(b"first")
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", failing)
            with pytest.raises(JournalError, match="Input/output error - check that disk"):
                await journal.sync()
        with pytest.raises(JournalError, match="Input/output error"):
            journal.append(b"second")
        with pytest.raises(JournalError):
            await journal.sync()
        assert journal.durable_seq == 0
        journal.close()

    asyncio.run(asyncio.wait_for(work(), 20))


def test_a_record_is_what_was_written(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(b"a", kind=255, wall_ns=12)
        assert list(journal) == [Record(1, 255, 12, b"a")]
