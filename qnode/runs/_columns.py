"""Columns of equal length on disk, as Parquet: what later analyses read with any tool. pyarrow is imported when used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnode.errors import MisuseError, QnodeError

__all__ = ["read_columns", "write_columns"]


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]], meta: Mapping[str, str]) -> None:
    """Write columns whole: readers see the old file or the new one.

    Args:
        path: the file.
        columns: name to array of shape (n,), numbers, truth values or text.
        meta: words about the whole, kept in the file's schema.

    Raises:
        MisuseError: columns of different lengths.
        OSError: the disk.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise MisuseError(f"{path}: columns of {sorted(lengths)} rows", hint="give all of them one length")
    arrays = {
        # pyarrow takes text as objects, and a column of few words is small as a dictionary.
        name: pa.array(column.astype(object), pa.string()) if column.dtype.kind == "U" else pa.array(column)
        for name, column in columns.items()
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(pa.table(arrays).replace_schema_metadata(dict(meta)), draft, compression="zstd")
    draft.replace(path)


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """Name to array of shape (n,); text as fixed-width strings.

    Raises:
        QnodeError: there is no such file, or it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # One thread: a run's pairs are small, and idle pools outlive the command.
        table = pq.read_table(path, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise QnodeError(f"{path} can't be read: {error}", hint="the disk or someone changed it") from error
    columns = {}
    for name in table.column_names:
        values = table[name].to_numpy()
        columns[name] = values.astype(np.str_) if values.dtype == object else values
    return columns
