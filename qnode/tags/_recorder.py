"""Write all tags of a run to a spool without ever holding up the tagger.

`Recorder.put` never blocks: blocks wait in memory, a thread writes them as Arrow batches with plain ``write``
calls, so what is written survives kill -9 of this process. When the disk is slow and the waiting blocks pass the
budget, or when it is full or gone, blocks are dropped, counted, and their times marked as a gap in the next batch
that gets through; an alarm says so once, and once more when writing works again. A failed write is taken back (the
file is cut to its last whole batch), so that a spool is readable up to its end at any time.

A recorder can be told to leave a reserve of free space on its disk to others: it then stops early, as on a full disk,
and goes on when there is room again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._block import TagBlock
from qnode.tags._columns import ArrowWriter

__all__ = ["Recorder", "RecorderState", "require_room"]

BYTES_A_TAG = 9
BATCH_TAGS = 1 << 18
MIB = 1 << 20
RETRY_S = 0.25
HOPELESS_S = 1.0
"""A closing recorder waits no longer for a disk that refuses; one that is only slow gets its whole time."""


class _Disk(Protocol):
    """What the recorder needs of an open file."""

    def write(self, data: memoryview, /) -> int: ...
    def truncate(self, size: int, /) -> int: ...
    def seek(self, offset: int, /) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class RecorderState:
    """Where a recorder stands."""

    written_tags: int
    dropped_tags: int
    pending_tags: int
    written_bytes: int
    alarm: str
    """Why tags are being dropped now; empty when they are not."""


class _Sink:
    """Collects what the Arrow writer makes of a batch, so that a batch is written, or not, as one."""

    closed = False

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def take(self) -> list[bytes]:
        parts, self.parts = self.parts, []
        return parts

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """The recorder closes the file itself."""


def _open_unbuffered(path: Path) -> _Disk:
    return path.open("xb", buffering=0)


def require_room(folder: Path, more_bytes: int, reserve_bytes: int) -> None:
    """Refuse what would leave less than a reserve of free space on the disk of ``folder``.

    Args:
        folder: on that disk.
        more_bytes: what is about to be written.
        reserve_bytes: what must stay free; 0 asks nothing.

    Raises:
        OSError: ``ENOSPC``, with both figures; or the disk can't be asked.
    """
    if not reserve_bytes:
        return
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free - more_bytes < reserve_bytes:
        raise OSError(
            errno.ENOSPC,
            f"{free / MIB:.1f} MiB free, {reserve_bytes / MIB:.1f} MiB are kept for journals and results",
        )


class Recorder:
    """Spool writer of one tagger; feed it from one thread.

    Args:
        path: the spool, an Arrow IPC stream (``.arrow``); must not exist.
        meta: text to keep with the file.
        budget_bytes: how much may wait in memory before blocks are dropped.
        batch_s: the longest time that a tag waits for its batch to fill, wall seconds.
        reserve_bytes: free space that is left on the disk to others.
        on_alarm: called with the reason when dropping or failing starts, with "" when it has ended; by the thread
            that notices, so it has to return at once and must not raise.
        open_file: opens the file for unbuffered writing; tests bring slow and full disks.

    Raises:
        MisuseError: the spool exists already.
        OSError: it can't be made.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        meta: Mapping[str, str] | None = None,
        budget_bytes: int = 512 << 20,
        batch_s: float = 0.2,
        reserve_bytes: int = 0,
        on_alarm: Callable[[str], None] | None = None,
        open_file: Callable[[Path], _Disk] | None = None,
    ) -> None:
        self.path = Path(path)
        if self.path.exists():
            raise MisuseError(f"{self.path} exists already", hint="a recorder writes a new spool only")
        self._budget_tags = max(budget_bytes // BYTES_A_TAG, 1)
        self._batch_s = batch_s
        self._reserve_bytes = reserve_bytes
        self._on_alarm = on_alarm
        self._ready = threading.Condition()
        self._pending: deque[TagBlock] = deque()
        self._pending_tags = self._writing_tags = self._written_tags = self._dropped_tags = 0
        self._last_ps: int | None = None
        self._lost: tuple[int, int] | None = None  # times of the blocks dropped since the last one taken
        self._gaps: list[list[int]] = []  # what those blocks said of gaps themselves
        self._overflow = False
        self._alarm = ""
        self._hopeless_s: float | None = None  # set by close
        self._dead = ""  # why the thread has ended unasked
        self._good_bytes = 0
        self._torn = False  # a part of a batch may stand behind the good bytes
        self._file = (open_file or _open_unbuffered)(self.path)
        self._sink = _Sink()
        self._writer = ArrowWriter(self._sink, meta)  # type: ignore[arg-type]  # it needs write() only
        # The schema comes out with the first batch; a disk that can't even take that is an error at once.
        self._writer.write(TagBlock.from_arrays([], []))
        self._write(self._sink.take())
        self._thread = threading.Thread(target=self._run, name=f"recorder {self.path.name}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> RecorderState:
        """A snapshot."""
        with self._ready:
            pending = self._pending_tags + self._writing_tags
            return RecorderState(self._written_tags, self._dropped_tags, pending, self._good_bytes, self._alarm)

    def put(self, block: TagBlock) -> bool:
        """Take over a block; its arrays must not change any more. Never blocks on the disk.

        Returns:
            False when the block was dropped; its time is marked as a gap with the next block that is taken.

        Raises:
            MisuseError: the recorder is closed, or the block starts before the last one's end.
        """
        if self._hopeless_s is not None:
            raise MisuseError(f"{self.path}: the recorder is closed")
        if len(block):
            if self._last_ps is not None and int(block.t_ps[0]) < self._last_ps:
                raise MisuseError(
                    f"a block starts at {block.t_ps[0]} ps, before the last one's end at {self._last_ps} ps"
                )
            self._last_ps = int(block.t_ps[-1])
        with self._ready:
            waiting = self._pending_tags + self._writing_tags
            dropped = bool(self._dead) or (bool(waiting) and waiting + len(block) > self._budget_tags)
            if dropped:
                self._drop(block)
            else:
                self._pending.append(self._marked(block))
                self._pending_tags += len(block)
                if self._pending_tags >= BATCH_TAGS:
                    self._ready.notify()
        if dropped:
            self._set_alarm(self._dead or f"{self.path}: the disk does not keep up, tags are being dropped")
        return not dropped

    def close(self, timeout_s: float = 30.0) -> RecorderState:
        """Write what waits, end the file, stop the thread.

        What a slow disk does not take within ``timeout_s`` wall seconds is still pending in the state that is given;
        the thread goes on with it. What a failing disk does not take within a second is counted as dropped and marked as
        a gap at the file's end, also inside the reserve; where not even that fits, the file has no end mark, which its
        readers report.
        """
        with self._ready:
            if self._hopeless_s is None:
                self._hopeless_s = time.monotonic() + min(timeout_s, HOPELESS_S)
            self._ready.notify()
        self._thread.join(timeout_s + 4 * RETRY_S)
        return self.state

    def _drop(self, block: TagBlock) -> None:
        self._dropped_tags += len(block)
        self._overflow |= block.overflow
        self._gaps += block.gaps.tolist()
        if len(block):
            first = int(block.t_ps[0]) if self._lost is None else self._lost[0]
            self._lost = (first, int(block.t_ps[-1]) + 1)

    def _marked(self, block: TagBlock) -> TagBlock:
        """The block, with the gaps that came before it."""
        if self._lost is None and not self._gaps and not self._overflow:
            return block
        gaps = [*self._gaps, *([list(self._lost)] if self._lost else []), *block.gaps.tolist()]
        overflow = self._overflow or block.overflow
        self._lost, self._gaps, self._overflow = None, [], False
        return TagBlock(block.t_ps, block.channel, np.array(gaps, np.int64).reshape(-1, 2), overflow)

    def _set_alarm(self, text: str) -> None:
        with self._ready:
            changed = bool(text) != bool(self._alarm)
            self._alarm = text
        if changed and self._on_alarm is not None:
            self._on_alarm(text)

    def _run(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                if not self._store(batch):
                    self._mark_the_end(batch)
                    break
            self._writer.close()
            self._write(self._sink.take())
        except OSError as error:  # the end mark is missing: that says of the file that its end may be, too
            self._set_alarm(f"{self.path}: {error}")
        except Exception as error:  # a fault of ours must not look like a disk that is idle
            self._dead = (
                f"{self.path}: the recorder has failed, tags are being dropped: {type(error).__name__}: {error}"
            )
            self._set_alarm(self._dead)
        finally:
            with self._ready:
                self._dropped_tags += self._pending_tags + self._writing_tags
                self._pending_tags = self._writing_tags = 0
                self._pending.clear()
            with contextlib.suppress(OSError):
                self._cut_torn()
            self._file.close()

    def _next_batch(self) -> TagBlock | None:
        """Wait for a batch; None when all is written and the recorder is closing."""
        with self._ready:
            self._ready.wait_for(
                lambda: self._pending_tags >= BATCH_TAGS or self._hopeless_s is not None, timeout=self._batch_s
            )
            parts: list[TagBlock] = []
            size = 0
            while self._pending and (not parts or size + len(self._pending[0]) <= 4 * BATCH_TAGS):
                parts.append(self._pending.popleft())
                size += len(parts[-1])
            self._pending_tags -= size
            self._writing_tags = size
            if not parts and self._hopeless_s is not None:
                last = self._marked(TagBlock.from_arrays([], []))
                return last if len(last.gaps) or last.overflow else None
        return TagBlock.concat(parts)

    def _store(self, batch: TagBlock) -> bool:
        """Write a batch, again and again while the disk fails; False when a closing recorder gives up."""
        try:
            if len(batch) or len(batch.gaps) or batch.overflow:
                self._writer.write(batch)
            parts = self._sink.take()
        except Exception as error:  # whatever the Arrow writer does not like: this batch is lost, and no other
            self._sink.take()
            if not len(batch):
                raise
            self._lose(batch, f"{self.path}: a batch was lost: {type(error).__name__}: {error}")
            return True
        while True:
            try:
                self._require_room(parts)
                self._write(parts)
                break
            except OSError as error:
                self._set_alarm(f"{self.path}: {error.strerror or error}")
            with self._ready:
                if self._hopeless_s is not None and time.monotonic() > self._hopeless_s:
                    return False
                self._ready.wait(RETRY_S)
        with self._ready:
            self._written_tags += self._writing_tags
            self._writing_tags = 0
            relaxed = 2 * self._pending_tags < self._budget_tags
        if relaxed and self._alarm:
            self._set_alarm("")
        return True

    def _mark_the_end(self, batch: TagBlock) -> None:
        """One gap over this batch and all that came after it: a few hundred bytes may fit where tags did not.

        Raises:
            OSError: not even that fits.
        """
        with self._ready:
            lost = [batch, *self._pending]
            self._dropped_tags += self._writing_tags + self._pending_tags
            self._writing_tags = self._pending_tags = 0
            self._pending.clear()
            for block in lost:
                self._overflow |= block.overflow
                self._gaps += block.gaps.tolist()
            first = next((int(block.t_ps[0]) for block in lost if len(block)), None)
            if first is not None and self._last_ps is not None:
                self._gaps.append([first, self._last_ps + 1])
                self._lost = None  # lies in that
            end = self._marked(TagBlock.from_arrays([], []))
        self._writer.write(end)
        self._write(self._sink.take())

    def _lose(self, batch: TagBlock, why: str) -> None:
        """Count a batch as dropped; the next block that comes carries its time as a gap."""
        with self._ready:
            self._dropped_tags += self._writing_tags
            self._writing_tags = 0
            self._overflow |= batch.overflow
            self._gaps += batch.gaps.tolist()
            if len(batch):
                self._gaps.append([int(batch.t_ps[0]), int(batch.t_ps[-1]) + 1])
        self._set_alarm(why)

    def _require_room(self, parts: list[bytes]) -> None:
        # Once it has stopped it asks for more than when it did not: no alarm for every file that comes and goes.
        reserve = self._reserve_bytes + (self._reserve_bytes // 8 if self._alarm else 0)
        if parts:
            require_room(self.path.parent, sum(map(len, parts)), reserve)

    def _write(self, parts: list[bytes]) -> None:
        """Append all of it or nothing.

        Raises:
            OSError: the disk did not take it; what it took of it is cut off now or before the next write.
        """
        self._cut_torn()
        try:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[self._file.write(view) :]
        except Exception:
            self._torn = True
            with contextlib.suppress(OSError):
                self._cut_torn()
            raise
        self._good_bytes += sum(map(len, parts))

    def _cut_torn(self) -> None:
        if self._torn:
            self._file.truncate(self._good_bytes)
            self._file.seek(self._good_bytes)
            self._torn = False
