"""The recorder: nothing lost on a good disk, gaps that cover exactly what a bad one lost."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest
from _disks import UnbufferedFile

from qnode.errors import MisuseError
from qnode.tags import Recorder, TagBlock, TruncatedFileWarning, archive_spool, open_tags, read_tags
from qnode.tags._columns import ArrowWriter


def blocks(count: int, tags: int = 1000) -> list[TagBlock]:
    """Consecutive blocks, a tag every 10 ps."""
    return [
        TagBlock.from_arrays(np.arange(k * tags, (k + 1) * tags) * 10, np.full(tags, 1 + k % 4)) for k in range(count)
    ]


def wait_for(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.005)


class Disk(UnbufferedFile):
    """An unbuffered file with a valve: while it is shut, writes wait or fail."""

    def __init__(self, path: Path, error: int | None = None) -> None:
        super().__init__(path)
        self.valve = threading.Event()
        self.valve.set()
        self.error = error
        self.room = 0

    def write(self, data: memoryview) -> int:
        if self.error is None:
            assert self.valve.wait(20)
        elif not self.valve.is_set():
            if self.room:  # a full disk takes a part first
                part, self.room = self.room, 0
                return self.file.write(data[:part])
            raise OSError(self.error, os.strerror(self.error))
        return self.file.write(data)

    def __enter__(self) -> "Disk":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.valve.set()


def accounted(path: Path, sent: list[TagBlock]) -> None:
    """Every tag that was sent is in the file or in a gap of it, never both, never changed."""
    found = read_tags(path)
    whole = TagBlock.concat(sent)
    lost = np.zeros(len(whole), np.bool_)
    for start, end in found.gaps.tolist():
        lost |= (whole.t_ps >= start) & (whole.t_ps < end)
    np.testing.assert_array_equal(found.t_ps, whole.t_ps[~lost])
    np.testing.assert_array_equal(found.channel, whole.channel[~lost])


def test_all_tags_and_gaps_of_the_stream_are_in_the_spool(tmp_path: Path) -> None:
    sent = blocks(300)
    sent[7] = TagBlock(sent[7].t_ps, sent[7].channel, np.array([[69_999, 70_000]]), overflow=True)
    with_meta = Recorder(tmp_path / "run.arrow", meta={"run": "42"})
    assert all(with_meta.put(block) for block in sent)
    state = with_meta.close()
    assert (state.written_tags, state.dropped_tags, state.pending_tags, state.alarm) == (300_000, 0, 0, "")
    assert state.written_bytes == (tmp_path / "run.arrow").stat().st_size
    found = read_tags(tmp_path / "run.arrow")
    np.testing.assert_array_equal(found.t_ps, np.arange(300_000) * 10)
    assert found.gaps.tolist() == [[69_999, 70_000]]
    assert found.overflow
    with pytest.raises(MisuseError, match="the recorder is closed"):
        with_meta.put(sent[0])


def test_misuse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.arrow").touch()
    with pytest.raises(MisuseError, match=r"old.arrow exists already"):
        Recorder(tmp_path / "old.arrow")
    recorder = Recorder(tmp_path / "new.arrow")
    first, second = blocks(2)
    recorder.put(second)
    with pytest.raises(MisuseError, match="a block starts at 0 ps, before the last one's end at 19990 ps"):
        recorder.put(first)
    recorder.close()


def test_a_slow_disk_costs_marked_blocks_and_never_time(tmp_path: Path) -> None:
    alarms: list[str] = []
    path = tmp_path / "run.arrow"
    disks: list[Disk] = []

    def slow(path: Path) -> Disk:
        disks.append(Disk(path))
        return disks[0]

    sent = blocks(60)
    recorder = Recorder(path, budget_bytes=20_000 * 9, batch_s=0.01, on_alarm=alarms.append, open_file=slow)
    with disks[0] as disk:
        disk.valve.clear()
        began = time.monotonic()
        taken = [recorder.put(block) for block in sent[:40]]
        assert time.monotonic() - began < 30
        assert 20 <= sum(taken) <= 21
        assert recorder.state.dropped_tags == 1000 * (40 - sum(taken))
        assert len(alarms) == 1
        assert "the disk does not keep up" in alarms[0]
        disk.valve.set()
        wait_for(lambda: recorder.state.pending_tags == 0)
        assert all(recorder.put(block) for block in sent[40:])
        state = recorder.close()
    assert alarms[1:] == [""]
    assert state.written_tags + state.dropped_tags == 60_000
    accounted(path, sent)
    assert len(read_tags(path).gaps) == 1


def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    alarms: list[str] = []
    path = tmp_path / "run.arrow"
    disks: list[Disk] = []

    def full(path: Path) -> Disk:
        disks.append(Disk(path, errno.ENOSPC))
        return disks[0]

    sent = blocks(60)
    recorder = Recorder(path, budget_bytes=10_000 * 9, batch_s=0.01, on_alarm=alarms.append, open_file=full)
    with disks[0] as disk:
        for block in sent[:5]:
            recorder.put(block)
        wait_for(lambda: recorder.state.written_tags == 5000)
        disk.room = 700
        disk.valve.clear()
        recorder.put(sent[5])
        wait_for(lambda: bool(alarms))
        assert "No space left on device" in alarms[0]
        # whole up to the last batch although a part of the next one was taken by the disk
        wait_for(lambda: path.stat().st_size == recorder.state.written_bytes)
        with pytest.warns(TruncatedFileWarning, match="no end mark"):
            assert len(read_tags(path)) == 5000
        taken = [recorder.put(block) for block in sent[6:40]]
        assert not all(taken)
        disk.valve.set()
        wait_for(lambda: recorder.state.pending_tags == 0)
        for block in sent[40:]:
            recorder.put(block)
        state = recorder.close()
    assert alarms[-1] == ""
    assert state.alarm == ""
    assert state.written_tags + state.dropped_tags == 60_000
    accounted(path, sent)


def test_closing_on_a_dead_disk_ends_and_counts(tmp_path: Path) -> None:
    disks: list[Disk] = []

    def dead(path: Path) -> Disk:
        disks.append(Disk(path, errno.EIO))
        return disks[0]

    recorder = Recorder(tmp_path / "run.arrow", batch_s=0.01, open_file=dead)
    disks[0].valve.clear()
    for block in blocks(3):
        recorder.put(block)
    state = recorder.close(timeout_s=0.3)
    assert state.dropped_tags == 3000
    assert "Input/output error" in state.alarm
    with pytest.warns(TruncatedFileWarning, match="no end mark"):
        assert len(read_tags(tmp_path / "run.arrow")) == 0


def test_a_gap_at_the_end_is_marked(tmp_path: Path) -> None:
    disks: list[Disk] = []

    def slow(path: Path) -> Disk:
        disks.append(Disk(path))
        return disks[0]

    sent = blocks(4)
    path = tmp_path / "run.arrow"
    recorder = Recorder(path, budget_bytes=9000, batch_s=0.01, open_file=slow)
    disks[0].valve.clear()
    assert [recorder.put(block) for block in sent] == [True, False, False, False]
    disks[0].valve.set()
    recorder.close()
    assert read_tags(path).gaps.tolist() == [[10_000, 39_991]]
    accounted(path, sent)


WRITER = """
import sys, time
import numpy as np
from qnode.tags import Recorder, TagBlock
recorder = Recorder(sys.argv[1])
k = 0
while True:
    recorder.put(TagBlock.from_arrays(np.arange(k * 1000, (k + 1) * 1000), np.ones(1000, np.uint8)))
    k += 1
    print(k, time.monotonic_ns(), flush=True)
    time.sleep(0.001)
"""


def killed_after_two_seconds(path: Path) -> list[tuple[int, int]]:
    """What a writer says that is killed -9: thousands of tags so far, and when; the last entry is the kill itself."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    sent: list[tuple[int, int]] = []
    for line in writer.stdout:
        count, when_ns = map(int, line.split())
        sent.append((count, when_ns))
        if when_ns - sent[0][1] > 2_000_000_000:
            break
    writer.send_signal(signal.SIGKILL)
    sent.append((sent[-1][0], time.monotonic_ns()))
    writer.stdout.close()
    writer.wait(60)
    return sent


def test_kill_9_loses_less_than_the_last_second(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / f"run-{attempt}.arrow"
        sent = killed_after_two_seconds(path)
        times_ns = np.array([when_ns for _, when_ns in sent])
        # Where the computer gave the writer no time in its last second, no thread of it could write either.
        if np.diff(times_ns[times_ns > times_ns[-1] - 1_500_000_000]).max() < 300_000_000:
            break
    found = TagBlock.concat(open_tags(path))
    np.testing.assert_array_equal(found.t_ps, np.arange(len(found)))
    a_second_before = max(count for count, when_ns in sent if when_ns < times_ns[-1] - 1_000_000_000)
    assert len(found) >= 1000 * a_second_before


class Stubborn(Disk):
    """A disk that takes a part of a batch, and then refuses to be cut as well."""

    def truncate(self, size: int) -> int:
        if not self.valve.is_set():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().truncate(size)


def test_a_failing_cut_is_made_up_before_the_next_write(tmp_path: Path) -> None:
    disks: list[Stubborn] = []

    def stubborn(path: Path) -> Disk:
        disks.append(Stubborn(path, errno.EIO))
        return disks[0]

    alarms: list[str] = []
    sent = blocks(10)
    path = tmp_path / "run.arrow"
    recorder = Recorder(path, batch_s=0.01, on_alarm=alarms.append, open_file=stubborn)
    with disks[0] as disk:
        recorder.put(sent[0])
        wait_for(lambda: recorder.state.written_tags == 1000)
        disk.room = 700
        disk.valve.clear()
        recorder.put(sent[1])
        wait_for(lambda: bool(alarms))
        assert path.stat().st_size > recorder.state.written_bytes  # the torn part is still there
        disk.valve.set()
        for block in sent[2:]:
            recorder.put(block)
        assert recorder.close().dropped_tags == 0
    accounted(path, sent)
    assert not len(read_tags(path).gaps)


def test_a_batch_that_can_not_be_encoded_is_a_gap_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Writer(ArrowWriter):
        def write(self, block: TagBlock) -> None:
            if len(block) and block.t_ps[0] == 10_000:
                raise MemoryError("no room for a copy")
            super().write(block)

    monkeypatch.setattr("qnode.tags._recorder.ArrowWriter", Writer)
    alarms: list[str] = []
    sent = blocks(4)
    path = tmp_path / "run.arrow"
    recorder = Recorder(path, batch_s=0.01, on_alarm=alarms.append)
    for block in sent:
        assert recorder.put(block)
        wait_for(lambda: recorder.state.pending_tags == 0)
    state = recorder.close()
    assert (state.written_tags, state.dropped_tags) == (3000, 1000)
    assert "a batch was lost: MemoryError: no room for a copy" in alarms[0]
    assert read_tags(path).gaps.tolist() == [[10_000, 19_991]]
    accounted(path, sent)


def test_a_recorder_whose_thread_has_failed_says_so_and_counts(tmp_path: Path) -> None:
    class Mad(Disk):
        def write(self, data: memoryview) -> int:
            if not self.valve.is_set():
                raise ValueError("write to closed file")
            return super().write(data)

    disks: list[Mad] = []

    def mad(path: Path) -> Disk:
        disks.append(Mad(path))
        return disks[0]

    alarms: list[str] = []
    sent = blocks(3)
    path = tmp_path / "run.arrow"
    recorder = Recorder(path, batch_s=0.01, on_alarm=alarms.append, open_file=mad)
    recorder.put(sent[0])
    wait_for(lambda: recorder.state.written_tags == 1000)
    disks[0].valve.clear()
    recorder.put(sent[1])
    wait_for(lambda: bool(alarms) and recorder.state.pending_tags == 0)
    assert "the recorder has failed, tags are being dropped: ValueError: write to closed file" in alarms[0]
    assert not recorder.put(sent[2])
    state = recorder.close()
    assert (state.written_tags, state.dropped_tags) == (1000, 2000)
    # What is missing at its end is marked when it is archived.
    assert archive_spool(path).gap == (9_991, 9_992)


def test_a_reserve_of_free_space_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [100 << 20]
    real = os.statvfs

    def statvfs(path: Path) -> os.statvfs_result:
        found = list(real(path))
        found[1], found[4] = 1, free[0]  # f_frsize, f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", statvfs)
    alarms: list[str] = []
    sent = blocks(60)
    path = tmp_path / "run.arrow"
    recorder = Recorder(path, budget_bytes=10_000 * 9, batch_s=0.01, on_alarm=alarms.append, reserve_bytes=64 << 20)
    recorder.put(sent[0])
    wait_for(lambda: recorder.state.written_tags == 1000)
    free[0] = 64 << 20
    recorder.put(sent[1])
    wait_for(lambda: bool(alarms))
    assert alarms[0].endswith("run.arrow: 64.0 MiB free, 64.0 MiB are kept for journals and results")
    for block in sent[2:40]:
        recorder.put(block)
    assert recorder.state.dropped_tags > 20_000
    free[0] = 73 << 20  # an eighth more than it keeps
    wait_for(lambda: recorder.state.pending_tags == 0)
    assert all(recorder.put(block) for block in sent[40:45])
    state = recorder.close()
    assert alarms[1:] == [""]
    assert state.written_tags + state.dropped_tags == 45_000
    accounted(path, sent[:45])


def test_a_disk_full_to_the_end_marks_its_gap_where_it_fits(tmp_path: Path) -> None:
    """Batches of a thousand tags don't fit, the few hundred bytes of a gap and the end mark do."""

    class Small(Disk):
        def write(self, data: memoryview) -> int:
            if not self.valve.is_set() and self.file.tell() + len(data) > 20_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(data)

    disks: list[Small] = []

    def small(path: Path) -> Small:
        disks.append(Small(path))
        return disks[0]

    sent = blocks(8)
    path = tmp_path / "run.arrow"
    recorder = Recorder(path, batch_s=0.01, budget_bytes=4 * 9000, open_file=small)
    recorder.put(sent[0])
    wait_for(lambda: recorder.state.written_tags == 1000)
    disks[0].valve.clear()
    # the second is held back by the disk, the next wait in memory, the last don't fit there either
    taken = [recorder.put(block) for block in sent[1:]]
    assert taken[:1] + taken[-1:] == [True, False]
    state = recorder.close()
    assert "No space left" in state.alarm
    found = read_tags(path)
    assert found.gaps.tolist() == [[found.t_ps[-1] + 10, 79_991]]
    assert state.written_tags == len(found)
    assert state.written_tags + state.dropped_tags == 8000
    accounted(path, sent)
    assert archive_spool(path).gap is None


def test_a_full_disk_does_not_hold_up_the_end(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.arrow", batch_s=0.01, reserve_bytes=1 << 60)
    recorder.put(blocks(1)[0])
    began = time.monotonic()
    assert recorder.close().dropped_tags == 1000
    assert time.monotonic() - began < 30
