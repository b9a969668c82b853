"""Arrow IPC (the spool: whole up to its last batch whatever happens) and Parquet (the archive, written at close).

Columns ``t_ps`` int64 and ``channel`` uint8. A batch's gaps travel in the spool as custom metadata of that
batch, in Parquet all gaps stand in the file's metadata: key ``qnode.gaps``, JSON, a list of [from_ps,
to_ps].
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._block import TagBlock, no_gaps

__all__ = ["ArrowWriter", "ParquetWriter", "parquet_gaps", "parquet_info", "read_arrow", "read_parquet"]

GAPS = b"qnode.gaps"
OVERFLOW = b"qnode.overflow"


def _schema(meta: Mapping[str, str]) -> Any:
    import pyarrow as pa

    fields = [pa.field("t_ps", pa.int64(), nullable=False), pa.field("channel", pa.uint8(), nullable=False)]
    return pa.schema(fields, metadata=dict(meta))


def _batch(block: TagBlock, schema: Any) -> Any:
    import pyarrow as pa

    return pa.record_batch([pa.array(block.t_ps), pa.array(block.channel)], schema=schema)


def _block(batch: Any, gaps: Any, overflow: bool) -> TagBlock:
    t_ps, channel = batch.column("t_ps").to_numpy(), batch.column("channel").to_numpy()
    return TagBlock(t_ps, channel, np.array(gaps, np.int64).reshape(-1, 2) if gaps else no_gaps(), overflow)


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


def read_arrow(file: BinaryIO, path: Path) -> Iterator[TagBlock]:
    """Blocks of an Arrow IPC stream; stops after the last whole batch and leaves the file behind it.

    Raises:
        MisuseError: no Arrow stream, or other columns.
    """
    import pyarrow as pa

    try:
        reader = pa.ipc.open_stream(pa.PythonFile(file))
    except (pa.ArrowInvalid, OSError) as error:
        raise MisuseError(f"{path} is no Arrow stream of tags: {error}") from None
    if reader.schema.names != ["t_ps", "channel"]:
        raise MisuseError(f"{path} has columns {reader.schema.names}", hint="tags are t_ps and channel")
    while True:
        try:
            batch, meta = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            return
        except (pa.ArrowInvalid, OSError):  # cut inside a batch
            return
        extra = dict(meta.items()) if meta else {}
        yield _block(batch, json.loads(extra.get(GAPS, b"null")), OVERFLOW in extra)


class ParquetWriter:
    """Write blocks as Parquet, times delta-packed, all zstd.

    Args:
        path: the file; complete only after `close`.
        meta: text to keep with the file.
    """

    def __init__(self, path: Path, meta: Mapping[str, str] | None = None) -> None:
        import pyarrow.parquet as pq

        self._schema = _schema(meta or {})
        self._gaps: list[list[int]] = []
        self._overflow = False
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            use_dictionary=["channel"],
            column_encoding={"t_ps": "DELTA_BINARY_PACKED"},
        )

    def write(self, block: TagBlock) -> None:
        """Append one block as a row group.

        Raises:
            OSError: the disk is full or gone.
        """
        self._gaps += block.gaps.tolist()
        self._overflow |= block.overflow
        if len(block):
            self._writer.write_batch(_batch(block, self._schema))

    def close(self) -> None:
        """Write the footer; before it the file can't be read."""
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
    except (pa.ArrowInvalid, OSError) as error:
        raise MisuseError(f"{path} is no whole Parquet file: {error}", hint="read the run's spool instead") from None
    names = file.schema_arrow.names
    if names[:2] != ["t_ps", "channel"]:
        raise MisuseError(f"{path} has columns {names}", hint="tags are t_ps and channel")
    return file


def read_parquet(path: Path, rows: int, groups: range | None = None, *, gaps: bool = True) -> Iterator[TagBlock]:
    """Blocks of a Parquet file; a gap travels with the first block that reaches its start.

    Args:
        path: the file.
        rows: tags a block at most.
        groups: row groups to read; all when not given.
        gaps: hand on the gaps too.

    Raises:
        MisuseError: no whole Parquet file, or other columns.
    """
    file = _open_parquet(path)
    meta = file.metadata.metadata or {}
    left = sorted(json.loads(meta.get(GAPS, b"[]"))) if gaps else []
    overflow = OVERFLOW in meta
    chosen = range(file.num_row_groups) if groups is None else groups
    for batch in file.iter_batches(rows, row_groups=list(chosen), columns=["t_ps", "channel"]):
        block = _block(batch, None, overflow)
        if not len(block):
            continue
        here = [gap for gap in left if gap[0] <= int(block.t_ps[-1])]
        left = left[len(here) :]
        yield TagBlock(block.t_ps, block.channel, np.array(here, np.int64).reshape(-1, 2), overflow)
    if left:
        yield TagBlock.from_arrays([], [], gaps=left, overflow=overflow)


def parquet_gaps(path: Path) -> list[tuple[int, int]]:
    """The gaps of a Parquet file.

    Raises:
        MisuseError: no whole Parquet file, or other columns.
    """
    meta = _open_parquet(path).metadata.metadata or {}
    return [(start, end) for start, end in json.loads(meta.get(GAPS, b"[]"))]


def parquet_info(path: Path) -> tuple[int, list[tuple[int, int, int]]]:
    """(tags, [(tags, first_ps, last_ps) of each row group]) without reading the columns.

    Raises:
        MisuseError: no whole Parquet file, or other columns.
    """
    file = _open_parquet(path)
    groups = []
    for index in range(file.num_row_groups):
        group = file.metadata.row_group(index)
        statistics = group.column(0).statistics
        groups.append((group.num_rows, statistics.min, statistics.max))
    return file.metadata.num_rows, groups
