"""Tag files of all formats behind one face: `open_tags` to read in blocks, `read_tags`, `write_tags`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from warnings import warn

import numpy as np

from qnode.errors import InstrumentError, MisuseError
from qnode.tags import _columns, _flat, _flat_write, _ptu
from qnode.tags._arrays import Int64, as_times
from qnode.tags._backend import Backend
from qnode.tags._block import TagBlock
from qnode.tags._clock import ClockModel, PpsClock, apply_clock
from qnode.tags._order import merge
from qnode.tags._pieces import Cutter, Tail, gaps_in_time

__all__ = [
    "FILE_FORMATS",
    "TagFile",
    "TruncatedFileWarning",
    "merge_files",
    "open_tags",
    "read_tags",
    "write_tags",
]

FILE_FORMATS = ("arrow", "parquet", "ptu", *_flat.FLAT_FORMATS, "ttbin")
WRITABLE = ("arrow", "parquet", "ptu", *_flat_write.FLAT_WRITERS)
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


class TruncatedFileWarning(UserWarning):
    """A file was read to its last whole record, and more had been there."""


class TagFile:
    """A tag file that is read in blocks, so that it may be larger than the memory.

    Args:
        path: the file.
        format: one of `FILE_FORMATS`; from the name's ending when not given.
        channel: the input, for formats of one channel a file.
        clock: lab time of the file's times; a `PpsClock` starts anew with each iteration.
        ref_period_ps: time from reference to reference, for ``idq_u64_ref``.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: no such file, one that can't be read, a format that can't be told or read.
    """

    def __init__(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        channel: int | None = None,
        clock: ClockModel | PpsClock | None = None,
        ref_period_ps: int | None = None,
        backend: Backend = "auto",
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise MisuseError(f"{self.path} is no file")
        try:
            with self.path.open("rb") as file:
                start = file.read(8)
        except OSError as error:
            raise MisuseError(f"{self.path} can't be read: {error.strerror or error}") from None
        self.format = format or _format_of(self.path, start)
        if self.format not in FILE_FORMATS:
            raise MisuseError(f"unknown tag format {self.format!r}", hint="known: " + ", ".join(FILE_FORMATS))
        self.size_bytes = self.path.stat().st_size
        self.done_bytes = 0
        """How far the last iteration has come, for progress bars."""
        self.truncated_bytes = 0
        """Bytes after the last whole record, known at the end of an iteration."""
        self.truncation = ""
        """What is missing at the end, in words; empty when the file is whole. Known at the end of an iteration."""
        self.header: dict[str, object] = {}
        """What the file says of itself, known after its first block."""
        self._channel = channel
        self._clock = clock
        self._ref_period_ps = ref_period_ps
        self._backend: Backend = backend

    def __iter__(self) -> Iterator[TagBlock]:
        return self.blocks()

    def blocks(self, tags: int = BLOCK_TAGS) -> Iterator[TagBlock]:
        """The file from its start in blocks of about ``tags`` tags, each gap before the tags that lie in it.

        Formats whose gaps may be found late (TDC1, Arrow) are gone through for their gaps first.

        Raises:
            MisuseError: the content is not of this format; the text says where.
        """
        self.done_bytes = self.truncated_bytes = 0
        self.truncation = ""
        blocks = self._as_they_come(tags)
        gaps = self._gaps()
        if gaps is not None:
            blocks = gaps_in_time(blocks, gaps)
        return blocks if self._clock is None else apply_clock(blocks, deepcopy(self._clock))

    def _gaps(self) -> Int64 | None:
        """All gaps, where they may come late or stand elsewhere; None where the blocks bring them in time."""
        if self.format == "parquet":
            return _columns.parquet_gaps(self.path)
        with self.path.open("rb") as file:
            if self.format == "arrow":
                return _columns.arrow_gaps(file, self.path)
            if self.format == "sfifteen_tdc1":
                return np.concatenate([block.gaps for block in self._read_flat(file, BLOCK_TAGS)])
        return None

    def _as_they_come(self, tags: int) -> Iterator[TagBlock]:
        self.done_bytes = 0
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
        self.truncated_bytes, self.truncation = _columns.arrow_truncation(file)

    def _read_ptu(self, file: BufferedReader, tags: int) -> Iterator[TagBlock]:
        header = _ptu.read_header(file, self.path)
        self.header = dict(header.tags)
        self.done_bytes = file.tell()
        decoder = _ptu.PtuDecoder(header, backend=self._backend)
        records = np.empty(tags, np.uint32)
        found = 0
        while count := file.readinto(records.data.cast("B")):
            self.done_bytes += count
            found += count // 4
            try:
                block = decoder.decode(records[: count // 4])
            except MisuseError as error:
                raise MisuseError(f"{self.path}: {error.message}", hint=error.hint, **error.context) from None
            yield block
        rest = decoder.finish()
        if len(rest):
            yield rest
        self._note_truncation((self.size_bytes - header.records_at) % 4)
        promised = header.tags.get("TTResult_NumberOfRecords", 0)
        if found < promised:
            parts = [self.truncation, f"the header promises {promised} records, {found} whole ones are there"]
            self.truncation = "; ".join(filter(None, parts))

    def _read_flat(self, file: BinaryIO, tags: int) -> Iterator[TagBlock]:
        decode = _flat.flat_decoder(self.format, self.path, self._channel, self._ref_period_ps)

        def decoded(data: bytes, last: bool) -> TagBlock:
            try:
                return decode(data, last)
            except (MisuseError, InstrumentError) as error:
                if str(self.path) in error.message:
                    raise
                raise type(error)(f"{self.path}: {error.message}", hint=error.hint, **error.context) from None

        while data := file.read(8 * tags):
            self.done_bytes = file.tell()
            yield decoded(data, False)
        yield decoded(b"", True)
        self._note_truncation(decode.cut_bytes)

    def _note_truncation(self, cut_bytes: int) -> None:
        self.truncated_bytes = cut_bytes
        self.truncation = f"{cut_bytes} bytes after the last whole record were left out" if cut_bytes else ""


def _format_of(path: Path, start: bytes) -> str:
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


open_tags = TagFile
"""A tag file to iterate over in blocks: `TagFile` by the verb that stands beside `read_tags` and `write_tags`."""


def read_tags(
    path: str | Path,
    format: str | None = None,
    *,
    channel: int | None = None,
    clock: ClockModel | PpsClock | None = None,
    ref_period_ps: int | None = None,
    backend: Backend = "auto",
) -> TagBlock:
    """A whole tag file in one block; see `TagFile` for the arguments. A truncated one gives a `TruncatedFileWarning`.

    Raises:
        MisuseError: no such file, a format that can't be told or read, times that go back (names the index).
    """
    file = open_tags(path, format, channel=channel, clock=clock, ref_period_ps=ref_period_ps, backend=backend)
    at_once = file.format == "ptu"  # all records at once, so that nothing has to be put together
    block = TagBlock.concat(file.blocks(file.size_bytes // 4 + 1 if at_once else BLOCK_TAGS))
    try:
        as_times("t_ps", block.t_ps)
    except MisuseError as error:
        raise MisuseError(f"{file.path}: {error.message}", hint=error.hint, **error.context) from None
    if file.truncation:
        warn(f"{file.path}: truncated, {file.truncation}", TruncatedFileWarning, stacklevel=2)
    return block


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
    lossy: bool = False,
) -> int:
    """Write tags to a file; it appears under its name only when it is whole.

    Args:
        path: the file; its ending says the format when ``format`` is not given.
        blocks: sorted blocks.
        format: arrow, parquet, ptu, idq_u64, idq_ascii, sfifteen_tdc1 or qcrypto_a1.
        meta: text to keep with the file (arrow and parquet).
        lossy: write also what the format can't hold whole, instead of refusing it. Formats other than arrow and
            parquet have no gaps: tags inside gaps are left out. Words of sfifteen_tdc1 (2 ns) and qcrypto_a1 (3.9 ps)
            have one bit a channel: tags of one channel in one unit become one.

    Returns:
        Number of tags in the file.

    Raises:
        MisuseError: a format that can't be written, unsorted tags, or tags that it can't hold; says which.
    """
    target = Path(path)
    name = format or BY_SUFFIX.get(target.suffix.lower(), "")
    if not target.parent.is_dir():
        raise MisuseError(f"{target} can't be written: there is no folder {target.parent}")
    if name not in WRITABLE:
        what = repr(name) if name else "a file with this ending"
        raise MisuseError(f"{target}: can't write {what}", hint="known: " + ", ".join(WRITABLE))
    parts = _in_order([blocks] if isinstance(blocks, TagBlock) else blocks, target)
    partial = target.with_name(target.name + ".part")
    try:
        if name in ("arrow", "parquet"):
            count = _write_columns(partial, parts, name, meta or {})
        elif name == "ptu":
            count = _ptu.write_t2(partial, _without_gaps(parts, target, lossy), (meta or {}).get("comment", ""))
        else:
            count = _write_flat(
                partial, _without_gaps(parts, target, lossy), _flat_write.FLAT_WRITERS[name](lossy=lossy)
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _in_order(blocks: Iterable[TagBlock], path: Path) -> Iterator[TagBlock]:
    """The blocks, once they are known to hold channels and times that never go back.

    Raises:
        MisuseError: they don't; names the file, the tag's number in it and its index in its block.
    """
    done = 0
    order = Tail(1)
    for block in blocks:
        try:
            as_times("t_ps", block.checked().t_ps)
            order.check(block.t_ps)
        except MisuseError as error:
            raise MisuseError(
                f"{path} is not written: in the block from tag {done} on, {error.message}",
                hint=error.hint,
                **error.context,
            ) from None
        order.push(block.t_ps[-1:], block.channel[-1:])
        done += len(block)
        yield block


def _without_gaps(blocks: Iterable[TagBlock], path: Path, lossy: bool) -> Iterator[TagBlock]:
    """The tags outside gaps.

    Raises:
        MisuseError: there is a gap, and ``lossy`` is not set.
    """
    cutter = Cutter()
    for block in blocks:
        if len(block.gaps) and not lossy:
            start_ps, end_ps = block.gaps[0].tolist()
            raise MisuseError(
                f"{path}: the tags have a gap from {start_ps} to {end_ps} ps, and this format has no place for it",
                hint="write .parquet or .arrow, or pass lossy=True (--lossy): tags inside gaps are left out",
            )
        for t_ps, channel, _ in cutter.pieces(block):
            yield TagBlock(t_ps, channel)


def _write_columns(path: Path, blocks: Iterable[TagBlock], name: str, meta: Mapping[str, str]) -> int:
    count = 0
    writer = (_columns.ArrowWriter if name == "arrow" else _columns.ParquetWriter)(path, meta)
    try:
        for block in blocks:
            writer.write(block)
            count += len(block)
    finally:
        writer.close()
    return count


def _write_flat(path: Path, blocks: Iterable[TagBlock], writer: _flat_write.FlatWriter) -> int:
    count = 0
    with path.open("wb") as file:
        for block in blocks:
            file.write(writer.encode(block))
            count += len(block)
        file.write(writer.finish())
    return count - writer.merged_tags
