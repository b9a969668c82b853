"""Arrow IPC (the spool: whole up to its last batch whatever happens) and Parquet (the archive, written at close).

Columns ``t_ps`` int64 and ``channel`` uint8; files of others may have more columns and other integers. A batch's gaps
travel in the spool as custom metadata of that batch, in Parquet all gaps stand in the file's metadata: key
``qnode.gaps``, JSON, a list of [from_ps, to_ps].
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64
from qnode.tags._block import TagBlock, as_gaps

__all__ = [
    "ArrowWriter",
    "ParquetWriter",
    "arrow_gaps",
    "arrow_truncation",
    "parquet_gaps",
    "parquet_info",
    "read_arrow",
    "read_parquet",
]

GAPS = b"qnode.gaps"
OVERFLOW = b"qnode.overflow"
COLUMNS = ("t_ps", "channel")
GROUP_TAGS = 1 << 20
CONTINUATION = b"\xff\xff\xff\xff"
END_MARK = CONTINUATION + b"\0\0\0\0"
BODY_LENGTH, CUSTOM_METADATA = 3, 4  # fields of Message in Arrow's Message.fbs


def _schema(meta: Mapping[str, str]) -> Any:
    import pyarrow as pa

    fields = [pa.field("t_ps", pa.int64(), nullable=False), pa.field("channel", pa.uint8(), nullable=False)]
    return pa.schema(fields, metadata=dict(meta))


def _batch(block: TagBlock, schema: Any) -> Any:
    import pyarrow as pa

    # Not pa.array(): it imports pandas at its first call, half a second of one core in the middle of a first plan.
    columns = [
        pa.Array.from_buffers(field.type, len(block), [None, pa.py_buffer(np.ascontiguousarray(column))])
        for field, column in zip(schema, (block.t_ps, block.channel), strict=True)
    ]
    return pa.record_batch(columns, schema=schema)


def _refuse_schema(schema: Any, path: Path) -> None:
    """Refuse files without integer columns ``t_ps`` and ``channel``.

    Raises:
        MisuseError: what is there instead.
    """
    import pyarrow as pa

    if any(schema.names.count(name) != 1 for name in COLUMNS):
        raise MisuseError(f"{path} has columns {schema.names}", hint="tags are t_ps and channel")
    for name in COLUMNS:
        kind = schema.field(name).type
        if not pa.types.is_integer(kind):
            raise MisuseError(f"{path}: {name} is {kind}", hint="t_ps is integer picoseconds, channel 1..255")


def _block(batch: Any, gaps: Int64, overflow: bool, place: str) -> TagBlock:
    """The tags of a batch.

    Raises:
        MisuseError: nulls, a channel or a time out of range; names the place.
    """
    for name in COLUMNS:
        if batch.column(name).null_count:
            raise MisuseError(f"{place}: {batch.column(name).null_count} of {name} are null", hint="a tag has both")
    try:
        return TagBlock.from_arrays(
            _numbers(batch.column("t_ps")), _numbers(batch.column("channel")), gaps=gaps, overflow=overflow
        )
    except MisuseError as error:
        raise MisuseError(f"{place}: {error.message}", hint=error.hint, **error.context) from None


def _numbers(column: Any) -> Any:
    """The integers of an Arrow array without nulls, shape (n,), not copied.

    Not its to_numpy(): that imports pandas, and a plan's end would wait for it.
    """
    kind = np.dtype(column.type.to_pandas_dtype())
    if not len(column):
        return np.empty(0, kind)
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * kind.itemsize)


def _gaps(meta: Mapping[bytes, bytes], path: Path) -> Int64:
    try:
        return as_gaps(json.loads(meta.get(GAPS, b"[]")))
    except ValueError as error:
        raise MisuseError(f"{path}: {GAPS.decode()} is no list of gaps: {error}") from None


class ArrowWriter:
    """Append blocks to an Arrow IPC stream; every block is a batch, whole on its own.

    Args:
        sink: a path, or an open binary file.
        meta: text to keep with the file (run id, clock, ...).
    """

    def __init__(self, sink: Path | BinaryIO, meta: Mapping[str, str] | None = None) -> None:
        import pyarrow as pa

        self._file = sink.open("wb") if isinstance(sink, Path) else sink
        self._schema = _schema(meta or {})
        self._writer = pa.ipc.new_stream(self._file, self._schema)

    def write(self, block: TagBlock) -> None:
        """Append one block.

        Raises:
            OSError: the disk is full or gone.
        """
        extra = {}
        if len(block.gaps):
            extra[GAPS] = json.dumps(block.gaps.tolist()).encode()
        if block.overflow:
            extra[OVERFLOW] = b"1"
        self._writer.write_batch(_batch(block, self._schema), custom_metadata=extra or None)

    def close(self) -> None:
        """Write the end mark and close the file."""
        try:
            self._writer.close()
        finally:
            self._file.close()


def _open_arrow(file: BinaryIO, path: Path) -> Any:
    import pyarrow as pa

    try:
        reader = pa.ipc.open_stream(pa.PythonFile(file, mode="r"))
    except (pa.ArrowException, OSError) as error:
        raise MisuseError(f"{path} is no Arrow stream of tags: {error}") from None
    _refuse_schema(reader.schema, path)
    return reader


def read_arrow(file: BinaryIO, path: Path) -> Iterator[TagBlock]:
    """Blocks of an Arrow IPC stream, each with the gaps of its batch.

    Stops after the last whole batch; before each block, and at the end, ``file`` stands behind what is whole.

    Raises:
        MisuseError: no Arrow stream, or other columns.
    """
    import pyarrow as pa

    reader = _open_arrow(file, path)
    number = 0
    while True:
        whole = file.tell()
        try:
            batch, meta = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            file.seek(whole)
            return
        except (pa.ArrowException, OSError):  # cut inside a batch
            file.seek(whole)
            return
        extra = dict(meta.items()) if meta else {}
        yield _block(batch, _gaps(extra, path), OVERFLOW in extra, f"{path}, batch {number}")
        number += 1


def arrow_truncation(file: BinaryIO) -> tuple[int, str]:
    """(bytes behind the last whole batch, what is wrong with the end or ""); ``file`` as `read_arrow` left it."""
    whole = file.tell()
    mark = file.read(len(END_MARK))
    if mark.startswith((END_MARK, b"\0\0\0\0")):  # the second is what writers before Arrow 0.15 leave
        return 0, ""
    rest = file.seek(0, io.SEEK_END) - whole
    if rest:
        return rest, f"{rest} bytes after the last whole batch were left out"
    return 0, "the stream has no end mark: it is still being written, or was cut: tags after the last may be missing"


def arrow_gaps(file: BinaryIO, path: Path) -> Int64:
    """All gaps of an Arrow IPC stream, shape (m, 2), without reading the columns of batches that have none.

    Raises:
        MisuseError: no Arrow stream, or other columns.
    """
    _open_arrow(file, path)
    head = file.tell()
    file.seek(0)
    start = file.read(head)
    found = []
    for begin, end in _messages_with_metadata(file):
        file.seek(begin)
        part = io.BytesIO(start + file.read(end - begin))
        found += [block.gaps for block in read_arrow(part, path)]
    return np.concatenate(found) if found else as_gaps([])


def _messages_with_metadata(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """(first byte, end) of each whole message from here on that carries custom metadata.

    A message is a continuation mark, the size of its header, the header (a flatbuffer ``Message``), and the body.
    """
    size = file.seek(0, io.SEEK_END)
    begin = file.seek(0)
    while True:
        file.seek(begin)
        mark = file.read(8)
        if len(mark) < 8 or mark == END_MARK or not mark.startswith(CONTINUATION):
            return
        (length,) = struct.unpack("<i", mark[4:])
        header = file.read(length)
        if length < 8 or len(header) < length:
            return
        end = begin + 8 + length + _body_length(header)
        if end > size:
            return
        if _field(header, CUSTOM_METADATA):
            yield begin, end
        begin = end


def _field(header: bytes, field: int) -> int:
    """Where a field of the flatbuffer's root table stands; 0 when it is not there."""
    (table,) = struct.unpack_from("<I", header)
    (back,) = struct.unpack_from("<i", header, table)
    (size,) = struct.unpack_from("<H", header, table - back)
    entry = 4 + 2 * field
    if entry >= size:
        return 0
    (offset,) = struct.unpack_from("<H", header, table - back + entry)
    return table + int(offset) if offset else 0


def _body_length(header: bytes) -> int:
    at = _field(header, BODY_LENGTH)
    return int(struct.unpack_from("<q", header, at)[0]) if at else 0


class ParquetWriter:
    """Write blocks as Parquet, times delta-packed, all zstd.

    Row groups hold 2**20 tags, however small the blocks are: a footer of thousands of groups is slow to open.

    Args:
        path: the file; complete only after `close`.
        meta: text to keep with the file.
    """

    def __init__(self, path: Path, meta: Mapping[str, str] | None = None) -> None:
        import pyarrow.parquet as pq

        self._schema = _schema(meta or {})
        self._gaps: list[list[int]] = []
        self._overflow = False
        self._waiting: list[TagBlock] = []
        self._waiting_tags = 0
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            use_dictionary=["channel"],
            column_encoding={"t_ps": "DELTA_BINARY_PACKED"},
        )

    def write(self, block: TagBlock) -> None:
        """Append one block.

        Raises:
            OSError: the disk is full or gone.
        """
        self._gaps += block.gaps.tolist()
        self._overflow |= block.overflow
        self._waiting.append(block)
        self._waiting_tags += len(block)
        if self._waiting_tags >= GROUP_TAGS:
            self._write_groups(self._waiting_tags // GROUP_TAGS * GROUP_TAGS)

    def _write_groups(self, tags: int) -> None:
        block = TagBlock.concat(self._waiting)
        self._writer.write_batch(
            _batch(TagBlock(block.t_ps[:tags], block.channel[:tags]), self._schema), row_group_size=GROUP_TAGS
        )
        self._waiting = [TagBlock(block.t_ps[tags:], block.channel[tags:])]
        self._waiting_tags -= tags

    def close(self) -> None:
        """Write what waits and the footer; before it the file can't be read."""
        if self._waiting_tags:
            self._write_groups(self._waiting_tags)
        if self._gaps or self._overflow:
            extra = {GAPS.decode(): json.dumps(self._gaps)}
            if self._overflow:
                extra[OVERFLOW.decode()] = "1"
            self._writer.add_key_value_metadata(extra)
        self._writer.close()


def _open_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise MisuseError(f"{path} is no whole Parquet file: {error}", hint="read the run's spool instead") from None
    _refuse_schema(file.schema_arrow, path)
    return file


def read_parquet(path: Path, rows: int, groups: Sequence[int] | None = None) -> Iterator[TagBlock]:
    """Blocks of a Parquet file, without its gaps (`parquet_gaps`).

    Args:
        path: the file.
        rows: tags a block at most.
        groups: row groups to read; all when not given.

    Raises:
        MisuseError: no whole Parquet file, or other columns.
    """
    import pyarrow as pa

    file = _open_parquet(path)
    overflow = OVERFLOW in (file.metadata.metadata or {})
    chosen = range(file.num_row_groups) if groups is None else groups
    batches = file.iter_batches(rows, row_groups=list(chosen), columns=list(COLUMNS))
    done = 0
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise MisuseError(f"{path}: tags from {done} on can't be read: {error}") from None
        if batch is None:
            return
        if batch.num_rows:
            yield _block(batch, as_gaps([]), overflow, f"{path}, from tag {done} on")
        done += batch.num_rows


def parquet_gaps(path: Path) -> Int64:
    """The gaps of a Parquet file, shape (m, 2).

    Raises:
        MisuseError: no whole Parquet file, or other columns.
    """
    return _gaps(_open_parquet(path).metadata.metadata or {}, path)


def parquet_info(path: Path) -> tuple[int, list[tuple[int, int, int, int]]]:
    """(tags, [(row group, tags, first_ps, last_ps)]), from the footer where it has statistics.

    Raises:
        MisuseError: no whole Parquet file, or other columns.
    """
    file = _open_parquet(path)
    groups = []
    for index in range(file.num_row_groups):
        group = file.metadata.row_group(index)
        if not group.num_rows:
            continue
        column = next(
            column for column in map(group.column, range(group.num_columns)) if column.path_in_schema == "t_ps"
        )
        if column.statistics is not None and column.statistics.has_min_max:
            groups.append((index, group.num_rows, column.statistics.min, column.statistics.max))
            continue
        times = np.concatenate([block.t_ps for block in read_parquet(path, group.num_rows, [index])])
        groups.append((index, group.num_rows, int(times.min()), int(times.max())))
    return file.metadata.num_rows, groups
