"""Turning a spool into its archive, also one that a killed process left behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qnode.errors import MisuseError
from qnode.tags._block import TagBlock
from qnode.tags._columns import END_MARK
from qnode.tags._files import open_tags, write_tags
from qnode.tags._recorder import require_room

__all__ = ["UNTIL_PS", "Archive", "archive_spool", "spool_is_closed"]

UNTIL_PS = "until_ps"
"""Key of a spool's metadata: what was to be recorded ends here, on the scale of its tags."""


@dataclass(frozen=True)
class Archive:
    """What became of a spool."""

    path: Path
    tags: int
    gap: tuple[int, int] | None
    """Marked because the spool ended without its end mark: from its last tag to where the recording was to end."""


def spool_is_closed(spool: Path) -> bool:
    """Whether a spool has its end mark: nothing that was given to its recorder is missing unmarked."""
    with spool.open("rb") as file:
        if file.seek(0, os.SEEK_END) < len(END_MARK):
            return False
        file.seek(-len(END_MARK), os.SEEK_END)
        return file.read() == END_MARK


def archive_spool(spool: Path, *, reserve_bytes: int = 0, go_on: Callable[[], bool] = lambda: True) -> Archive:
    """Write ``<spool>.parquet`` beside a spool (``.arrow``) and remove the spool; in constant memory.

    A spool without end mark (its process was killed, or the disk refused its end) is read to its last whole batch, and
    what may be missing after that is marked as a gap.

    Args:
        spool: the file; nobody writes it any more.
        reserve_bytes: free space that is left on the disk to others.
        go_on: asked between blocks; False stops it and leaves the spool as it is.

    Raises:
        OSError: the disk is full, has less than the reserve, or fails, or it was stopped; the spool is as it was.
        MisuseError: no spool of tags.
    """
    import pyarrow as pa

    target = spool.with_suffix(".parquet")
    if target.exists():  # an archive appears only when it is whole: what was killed was the removal of its spool
        tags = sum(len(block) for block in open_tags(target))
        spool.unlink()
        return Archive(target, tags, None)
    closed = spool_is_closed(spool)
    try:
        with spool.open("rb") as file:
            found = pa.ipc.open_stream(file).schema.metadata or {}
    except pa.ArrowInvalid as error:
        raise MisuseError(f"{spool} is no spool of tags: {error}", hint="it was cut before its first tag") from None
    meta = {key.decode(): value.decode() for key, value in found.items()}
    gap: list[tuple[int, int]] = []

    def blocks() -> Iterator[TagBlock]:
        last_ps = -1
        for block in open_tags(spool, "arrow", backend="numpy"):
            if not go_on():
                raise OSError(errno.EINTR, "stopped")
            require_room(spool.parent, block.t_ps.nbytes, reserve_bytes)
            if len(block):
                last_ps = int(block.t_ps[-1])
            yield block
        if not closed:
            gap.append((last_ps + 1, max(last_ps + 2, int(meta.get(UNTIL_PS, 0)))))
            yield TagBlock.from_arrays([], [], gaps=gap)

    tags = write_tags(target, blocks(), meta=meta)
    spool.unlink()
    return Archive(target, tags, gap[0] if gap else None)
