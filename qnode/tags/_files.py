"""Tag files of all formats behind one face: `open_tags` to read in blocks, `read_tags`, `write_tags`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import numpy as np

from qnode.errors import MisuseError
from qnode.tags import _columns, _flat, _ptu
from qnode.tags._backend import Backend
from qnode.tags._block import TagBlock
from qnode.tags._order import merge

__all__ = ["FILE_FORMATS", "TagFile", "merge_files", "open_tags", "read_tags", "write_tags"]

FILE_FORMATS = ("arrow", "parquet", "ptu", *_flat.FLAT_FORMATS, "ttbin")
WRITABLE = ("arrow", "parquet", "ptu", *_flat.FLAT_WRITERS)
BLOCK_TAGS = 1 << 18  # 2.3 MB: a block is still in the cache when its kernel runs

BY_SUFFIX = {
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".parquet": "parquet",
    ".ptu": "ptu",
    ".bin": "idq_u64",
    ".txt": "idq_ascii",
    ".tdc1": "sfifteen_tdc1",
    ".a1": "qcrypto_a1",
    ".qutag": "qutag_binary",
    ".ttbin": "ttbin",
}


class TagFile:
    """A tag file that is read in blocks, so that it may be larger than the memory.

    Args:
        path: the file.
        format: one of `FILE_FORMATS`; from the name's ending when not given.
        channel: the input, for formats of one channel a file.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: no such file, a format that can't be told or read.
    """

    def __init__(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        channel: int | None = None,
        backend: Backend = "auto",
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise MisuseError(f"{self.path} is no file")
        self.format = format or _format_of(self.path)
        if self.format not in FILE_FORMATS:
            raise MisuseError(f"unknown tag format {self.format!r}", hint="known: " + ", ".join(FILE_FORMATS))
        self.size_bytes = self.path.stat().st_size
        self.done_bytes = 0
        """How far the last iteration has come, for progress bars."""
        self.truncated_bytes = 0
        """Bytes after the last whole record, known at the end of an iteration."""
        self.header: dict[str, object] = {}
        """What the file says of itself, known after its first block."""
        self._channel = channel
        self._backend: Backend = backend

    def __iter__(self) -> Iterator[TagBlock]:
        return self.blocks()

    def blocks(self, tags: int = BLOCK_TAGS) -> Iterator[TagBlock]:
        """The file from its start in blocks of about ``tags`` tags.

        Raises:
            MisuseError: the content is not of this format; the text says where.
        """
        self.done_bytes = self.truncated_bytes = 0
        if self.format == "parquet":
            total = max(_columns.parquet_info(self.path)[0], 1)
            seen = 0
            for block in _columns.read_parquet(self.path, tags):
                seen += len(block)
                self.done_bytes = self.size_bytes * seen // total
                yield block
            return
        if self.format == "ttbin":
            yield from _read_ttbin(self.path, tags)
            self.done_bytes = self.size_bytes
            return
        with self.path.open("rb") as file:
            if self.format == "arrow":
                yield from self._read_arrow(file)
            elif self.format == "ptu":
                yield from self._read_ptu(file, tags)
            else:
                yield from self._read_flat(file, tags)

    def _read_arrow(self, file: BinaryIO) -> Iterator[TagBlock]:
        for block in _columns.read_arrow(file, self.path):
            self.done_bytes = file.tell()
            yield block
        # the end mark of a stream that was closed has 8 bytes
        rest = self.size_bytes - self.done_bytes
        self.truncated_bytes = 0 if rest == 8 or not self.done_bytes else rest

    def _read_ptu(self, file: BufferedReader, tags: int) -> Iterator[TagBlock]:
        header = _ptu.read_header(file, self.path)
        self.header = dict(header.tags)
        self.done_bytes = file.tell()
        decoder = _ptu.PtuDecoder(header, backend=self._backend)
        records = np.empty(tags, np.uint32)
        while count := file.readinto(records.data.cast("B")):
            self.done_bytes += count
            yield decoder.decode(records[: count // 4])
        self.truncated_bytes = (self.size_bytes - header.records_at) % 4

    def _read_flat(self, file: BinaryIO, tags: int) -> Iterator[TagBlock]:
        decode = _flat.flat_decoder(self.format, self.path, self._channel)
        while data := file.read(8 * tags):
            self.done_bytes = file.tell()
            yield decode(data, False)
        yield decode(b"", True)
        header, record = {"sfifteen_tdc1": (0, 4), "qutag_binary": (40, 10), "idq_ascii": (0, 1)}.get(
            self.format, (0, 8)
        )
        self.truncated_bytes = max(self.size_bytes - header, 0) % record
        if self.format == "idq_ascii" and self.size_bytes:
            file.seek(max(self.size_bytes - 64, 0))
            self.truncated_bytes = len(file.read().rpartition(b"\n")[2])


def _format_of(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    if start == _ptu.MAGIC:
        return "ptu"
    if start[:4] == b"PAR1":
        return "parquet"
    found = BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        raise MisuseError(
            f"{path}: the format can't be told from the name", hint="pass one of " + ", ".join(FILE_FORMATS)
        )
    return found


class _TimeTagStreamBuffer(Protocol):
    size: int

    def getTimestamps(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]: ...  # noqa: N802 - vendor's name
    def getChannels(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]: ...  # noqa: N802 - vendor's name
    def getEventTypes(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]: ...  # noqa: N802 - vendor's name


class _TtbinReader(Protocol):
    def hasData(self) -> bool: ...  # noqa: N802 - vendor's name
    def getData(self, n_events: int) -> _TimeTagStreamBuffer: ...  # noqa: N802 - vendor's name


def _read_ttbin(path: Path, tags: int) -> Iterator[TagBlock]:
    """Swabian's own reader decodes; falling edges (negative channels) become 128 + n."""
    if find_spec("Swabian") is None:
        raise MisuseError(
            f"{path}: .ttbin is a closed format", hint="pip install Swabian-TimeTagger, its maker's package"
        )
    from importlib import import_module

    reader = cast(_TtbinReader, import_module("Swabian.TimeTagger").FileReader(str(path)))
    while reader.hasData():
        data = reader.getData(tags)
        tag = data.getEventTypes() == 0
        t_ps, number = data.getTimestamps(), data.getChannels()
        lost = t_ps[~tag]
        gaps = [(int(lost[0]), int(lost[-1]) + 1)] if lost.size else None
        channel = np.where(number < 0, 128 - number, number)
        yield TagBlock.from_arrays(t_ps[tag], channel[tag], gaps=gaps, overflow=bool(lost.size))


def open_tags(
    path: str | Path, format: str | None = None, *, channel: int | None = None, backend: Backend = "auto"
) -> TagFile:
    """A tag file to iterate over in blocks; see `TagFile`.

    Raises:
        MisuseError: no such file, a format that can't be told or read.
    """
    return TagFile(path, format, channel=channel, backend=backend)


def read_tags(
    path: str | Path, format: str | None = None, *, channel: int | None = None, backend: Backend = "auto"
) -> TagBlock:
    """A whole tag file in one block.

    Raises:
        MisuseError: no such file, a format that can't be told or read, times that go back.
    """
    file = open_tags(path, format, channel=channel, backend=backend)
    at_once = file.format == "ptu"  # all records at once, so that nothing has to be put together
    return TagBlock.concat(file.blocks(file.size_bytes // 4 + 1 if at_once else BLOCK_TAGS))


def merge_files(files: Sequence[Iterable[TagBlock]], *, backend: Backend = "auto") -> Iterator[TagBlock]:
    """Blocks of several files of one clock, merged by time, without reading whole files.

    Raises:
        MisuseError: a file is not sorted.
    """
    sources = [iter(file) for file in files]
    waiting = [TagBlock.from_arrays([], []) for _ in sources]
    ended = [False] * len(sources)

    def pull(index: int) -> None:
        """One more block that has tags, or the end of a source."""
        while True:
            block = next(sources[index], None)
            if block is None:
                ended[index] = True
                return
            waiting[index] = TagBlock.concat([waiting[index], block])
            if len(block):
                return

    for index in range(len(sources)):
        pull(index)
    while True:
        reached = {index: int(waiting[index].t_ps[-1]) for index in range(len(sources)) if not ended[index]}
        limit = min(reached.values(), default=None)
        ready = []
        for index, block in enumerate(waiting):
            # a tag at the limit may still be followed by another of its time from the same file
            cut = len(block) if limit is None else int(np.searchsorted(block.t_ps, limit, "left"))
            ready.append(TagBlock(block.t_ps[:cut], block.channel[:cut], block.gaps, block.overflow))
            waiting[index] = TagBlock(block.t_ps[cut:], block.channel[cut:])
        yield merge(ready, backend=backend)
        if limit is None:
            return
        for index, last in reached.items():
            if last == limit:
                pull(index)


def write_tags(
    path: str | Path,
    blocks: TagBlock | Iterable[TagBlock],
    format: str | None = None,
    *,
    meta: Mapping[str, str] | None = None,
) -> int:
    """Write tags to a file; it appears under its name only when it is whole.

    Args:
        path: the file; its ending says the format when ``format`` is not given.
        blocks: sorted blocks.
        format: arrow, parquet, ptu, idq_u64, idq_ascii, sfifteen_tdc1 or qcrypto_a1.
        meta: text to keep with the file (arrow and parquet).

    Returns:
        Number of tags written.

    Raises:
        MisuseError: a format that can't be written, or tags that it can't hold.
    """
    target = Path(path)
    name = format or BY_SUFFIX.get(target.suffix.lower(), "")
    if name not in WRITABLE:
        raise MisuseError(f"{target}: can't write {name or 'this ending'!r}", hint="known: " + ", ".join(WRITABLE))
    parts = [blocks] if isinstance(blocks, TagBlock) else blocks
    partial = target.with_name(target.name + ".part")
    try:
        count = _write(partial, parts, name, meta or {})
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write(path: Path, blocks: Iterable[TagBlock], name: str, meta: Mapping[str, str]) -> int:
    if name == "ptu":
        return _ptu.write_t2(path, blocks, meta.get("comment", ""))
    count = 0
    if name in ("arrow", "parquet"):
        writer = (_columns.ArrowWriter if name == "arrow" else _columns.ParquetWriter)(path, meta)
        try:
            for block in blocks:
                writer.write(block)
                count += len(block)
        finally:
            writer.close()
        return count
    state: dict[str, int] = {}
    with path.open("wb") as file:
        for block in blocks:
            file.write(_flat.FLAT_WRITERS[name](block, state))
            count += len(block)
    return count
