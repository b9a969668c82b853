r"""The append-only record file: what is written here is never lost by kill -9, and says so when a power cut took it.

File: the 8 bytes ``QNJRNL1\n``, then records, little-endian::

    u32 length of payload | u32 crc32 of all that follows | u64 seq | i64 wall time, ns since 1970 | u8 kind | payload

``append`` is one ``write`` to the page cache (it survives the process); ``sync`` makes it durable in groups.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import struct
import time
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from qnode.errors import MisuseError, QnodeError
from qnode.runs._errors import says_disk

__all__ = ["Journal", "JournalError", "Record"]

_MAGIC = b"QNJRNL1\n"
_HEAD = struct.Struct("<IIQqB")
_SEALED = struct.Struct("<QqB")
_INDEX_EVERY = 64
_CHUNK = 256 * 1024
_MAX_PAYLOAD = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


class JournalError(QnodeError):
    """A journal can't be written or read: disk full, damaged in the middle, not a journal."""

    code = "journal"


class Record(NamedTuple):
    """One record as it stands in the file."""

    seq: int
    """From 1, strictly rising; consecutive unless the writer chose its own numbers."""
    kind: int
    """0 to 255, the writer's own meaning."""
    wall_ns: int
    """Wall time of the append, nanoseconds since 1970."""
    payload: bytes


class Journal:
    """An append-only record file with a single writer.

    Opening cuts a torn tail (a record whose end was never written) and says so in `cut`; damage before the last
    record is refused, never repaired in silence. One process holds a journal for writing; appends come from one
    thread. Readers may open a file that is being written with ``readonly=True`` and see the whole records in it.

    Args:
        path: the file; made with its folder if absent.
        readonly: read what is there; nothing is cut, locked or written.
        gather_s: how long `sync` waits for company before it writes through.
        gather_records: so many unsynced records don't wait.

    Raises:
        MisuseError: another process writes this journal; the file is absent and ``readonly``.
        JournalError: not a journal, or damaged before its tail.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with Journal(Path(tempfile.mkdtemp()) / "heralds.journal") as journal:
        ...     journal.append(b"first"), journal.append(b"second", kind=7)
        ...     [(record.seq, record.kind, record.payload) for record in journal.read(1, 2)]
        (1, 2)
        [(1, 0, b'first'), (2, 7, b'second')]
    """

    def __init__(
        self, path: Path | str, *, readonly: bool = False, gather_s: float = 0.005, gather_records: int = 64
    ) -> None:
        self.path = Path(path)
        self._readonly = readonly
        self._gather_s = gather_s
        self._gather_records = gather_records
        self._index_seq = array("Q")
        self._index_offset = array("Q")
        self._count = 0
        self._last_seq = 0
        self._first_seq = 0
        self._end = len(_MAGIC)
        self._cut = ""
        self._durable_seq = 0
        self._broken: OSError | None = None
        self._gathering: asyncio.Task[None] | None = None
        self._full_group = asyncio.Event()
        self._syncer: ThreadPoolExecutor | None = None
        self._fd = self._open()
        try:
            self._load()
        except BaseException:
            os.close(self._fd)
            self._fd = -1
            raise
        self._durable_seq = self._last_seq

    @property
    def last_seq(self) -> int:
        """Number of the last record, 0 when there is none."""
        return self._last_seq

    @property
    def first_seq(self) -> int:
        """Number of the first record, 0 when there is none."""
        return self._first_seq

    @property
    def durable_seq(self) -> int:
        """Number of the last record that also a power cut leaves."""
        return self._durable_seq

    @property
    def cut(self) -> str:
        """What was cut off at open, one line; empty when the file ended cleanly."""
        return self._cut

    def __len__(self) -> int:
        return self._count

    def append(self, payload: bytes, *, kind: int = 0, seq: int | None = None, wall_ns: int | None = None) -> int:
        """Write one record at once and return its number.

        Args:
            payload: up to 64 MiB.
            kind: 0 to 255.
            seq: the record's number, above `last_seq`; default the next one.
            wall_ns: wall time to keep, nanoseconds since 1970; default now.

        Raises:
            JournalError: the disk is full or fails; nothing half-written stays, the same append may be tried again.
            MisuseError: number, kind or size out of range, or opened read-only.
        """
        number = self._last_seq + 1 if seq is None else seq
        self._refuse_bad(payload, kind, number)
        sealed = _SEALED.pack(number, time.time_ns() if wall_ns is None else wall_ns, kind) + payload
        data = b"".join((len(payload).to_bytes(4, "little"), zlib.crc32(sealed).to_bytes(4, "little"), sealed))
        try:
            written = os.pwrite(self._fd, data, self._end)
            if written != len(data):
                # A short write to a regular file means that no more fits; the second try brings the reason.
                os.pwrite(self._fd, data[written:], self._end + written)
        except OSError as error:
            os.ftruncate(self._fd, self._end)
            raise self._write_failed(error) from error
        self._note(number, self._end, len(data))
        if self._last_seq - self._durable_seq >= self._gather_records:
            self._full_group.set()
        return number

    def read(self, first: int, last: int | None = None, *, max_bytes: int | None = None) -> Iterator[Record]:
        """Give the records numbered ``first`` to ``last``, both included, in order.

        Args:
            first: lowest number wanted.
            last: highest number wanted; default the last there is now.
            max_bytes: stop after the record that brings the payloads to this size.

        Raises:
            JournalError: a record in the middle is damaged.
        """
        stop = self._last_seq if last is None else min(last, self._last_seq)
        if first > stop or not self._index_seq:
            return
        entry = max(bisect_right(self._index_seq, first) - 1, 0)
        taken = 0
        for record, _ in self._scan(self._index_offset[entry], self._end):
            if record.seq > stop:
                return
            if record.seq < first:
                continue
            yield record
            taken += len(record.payload)
            if max_bytes is not None and taken >= max_bytes:
                return

    def __iter__(self) -> Iterator[Record]:
        return self.read(0)

    async def sync(self) -> None:
        """Return when every record appended so far is durable (fdatasync), in a group with other callers.

        Raises:
            JournalError: the disk failed; what is not durable stays unknown, so the journal refuses from then on.
        """
        target = self._last_seq
        while self._durable_seq < target:
            if self._gathering is None or self._gathering.done():
                self._gathering = asyncio.get_running_loop().create_task(self._sync_group())
            await asyncio.shield(self._gathering)

    def sync_now(self) -> None:
        """Make every record appended so far durable, blocking.

        Raises:
            JournalError: the disk failed.
        """
        if self._broken is not None:
            raise self._write_failed(self._broken)
        target = self._last_seq
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # After a failed fsync the kernel forgets which pages were lost: a later success would prove nothing.
            self._broken = error
            raise self._write_failed(error) from error
        self._durable_seq = max(self._durable_seq, target)

    def close(self) -> None:
        """Make all durable and close; a second close does nothing."""
        if self._fd < 0:
            return
        try:
            if not self._readonly and self._broken is None:
                self.sync_now()
        finally:
            if self._syncer is not None:
                self._syncer.shutdown(wait=True)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _sync_group(self) -> None:
        self._full_group.clear()
        if self._last_seq - self._durable_seq < self._gather_records:
            with suppress(TimeoutError):  # a small group is a group too
                async with asyncio.timeout(self._gather_s):
                    await self._full_group.wait()
        if self._syncer is None:
            self._syncer = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        await asyncio.get_running_loop().run_in_executor(self._syncer, self.sync_now)

    def _refuse_bad(self, payload: bytes, kind: int, number: int) -> None:
        if self._fd < 0 or self._readonly:
            why = "is closed" if self._fd < 0 else "was opened read-only"
            raise MisuseError(f"{self.path} {why}", hint="open it for writing before appending")
        if self._broken is not None:
            raise self._write_failed(self._broken)
        if number <= self._last_seq:
            raise MisuseError(f"{self.path}: record {number} after record {self._last_seq}", hint="numbers only rise")
        if not 0 <= kind <= 255:
            raise MisuseError(f"{self.path}: kind {kind} does not fit in a byte", hint="use 0 to 255")
        if len(payload) > _MAX_PAYLOAD:
            raise MisuseError(f"{self.path}: a record of {len(payload)} bytes", hint="the most is 64 MiB; split it")

    def _write_failed(self, error: OSError) -> JournalError:
        what, hint = says_disk(error)
        return JournalError(
            f"{self.path}: record {self._last_seq + 1} could not be written: {what}",
            hint=hint,
            path=str(self.path),
            errno=error.errno,
        )

    def _note(self, seq: int, offset: int, size: int) -> None:
        if self._count % _INDEX_EVERY == 0:
            self._index_seq.append(seq)
            self._index_offset.append(offset)
        if not self._count:
            self._first_seq = seq
        self._count += 1
        self._last_seq = seq
        self._end = offset + size

    def _open(self) -> int:
        if self._readonly:
            try:
                return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise MisuseError(f"there is no journal {self.path}", hint="check the run's folder") from error
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._write_failed(error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise MisuseError(
                f"{self.path} is being written by another process", hint="stop that one, or open it read-only"
            ) from error
        return fd

    def _load(self) -> None:
        size = os.fstat(self._fd).st_size
        head = os.pread(self._fd, len(_MAGIC), 0)
        if len(head) < len(_MAGIC) and _MAGIC.startswith(head):
            # New, or killed between making the file and its first bytes.
            if not self._readonly:
                try:
                    os.pwrite(self._fd, _MAGIC, 0)
                except OSError as error:
                    raise self._write_failed(error) from error
            return
        if head != _MAGIC:
            raise JournalError(f"{self.path} is not a journal of this version", hint="move it away")
        for record, offset in self._scan(len(_MAGIC), size, at_open=True):
            if record.seq <= self._last_seq:
                raise self._damaged(offset)
            self._note(record.seq, offset, _HEAD.size + len(record.payload))
        if self._end < size and not self._readonly:
            self._cut = f"{self.path}: cut {size - self._end} bytes of a torn record after record {self._last_seq}"
            _log.warning(self._cut)
            os.ftruncate(self._fd, self._end)
            os.fdatasync(self._fd)

    def _scan(self, offset: int, end: int, *, at_open: bool = False) -> Iterator[tuple[Record, int]]:
        """Records from ``offset`` on; at open, bytes that are no record end the scan if no record follows them."""
        buffer = b""
        start = offset
        while offset < end:
            at = offset - start
            if len(buffer) - at < _HEAD.size:
                buffer, start, at = self._chunk(offset, min(_CHUNK, end - offset)), offset, 0
            if len(buffer) < _HEAD.size:
                break
            length, crc, seq, wall_ns, kind = _HEAD.unpack_from(buffer, at)
            size = _HEAD.size + length
            if length > _MAX_PAYLOAD or offset + size > end:
                break
            if len(buffer) - at < size:
                buffer, start, at = self._chunk(offset, min(max(size, _CHUNK), end - offset)), offset, 0
            sealed = buffer[at + 8 : at + size]
            if zlib.crc32(sealed) != crc:
                break
            yield Record(seq, kind, wall_ns, sealed[_SEALED.size :]), offset
            offset += size
        if offset < end and (not at_open or self._whole_record_after(offset, end)):
            raise self._damaged(offset)

    def _whole_record_after(self, offset: int, end: int) -> bool:
        """Whether a record begins behind ``offset``: then what stands there is damage and no torn tail."""
        tail = self._chunk(offset, min(end - offset, _CHUNK))
        for at in range(1, len(tail) - _HEAD.size + 1):
            length, crc, seq, _, _ = _HEAD.unpack_from(tail, at)
            stop = at + _HEAD.size + length
            likely = self._last_seq < seq <= self._last_seq + 2 * len(tail) and offset + stop <= end
            if likely and zlib.crc32(self._chunk(offset + at + 8, stop - at - 8)) == crc:
                return True
        return False

    def _chunk(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def _damaged(self, offset: int) -> JournalError:
        return JournalError(
            f"{self.path} is damaged at byte {offset}, after record {self._last_seq}",
            hint="keep the file; recover what comes after by hand from a copy",
            path=str(self.path),
            offset=offset,
        )
