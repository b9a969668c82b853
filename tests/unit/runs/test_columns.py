from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qnode.errors import MisuseError, QnodeError
from qnode.runs import read_columns, write_columns

COLUMNS = {
    "round": np.array([3, 70_000_000_000], np.int64),
    "pattern": np.array([1, 8], np.uint8),
    "bell": np.array(["psi+", "psi-"], "U4"),
    "bright": np.array([True, False]),
}


def test_columns_come_back_with_their_types(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    write_columns(path, COLUMNS, {"run": "r"})
    back = read_columns(path)
    assert list(back) == list(COLUMNS)
    for name, column in COLUMNS.items():
        assert back[name].dtype == column.dtype, name
        assert back[name].tolist() == column.tolist(), name


def test_any_tool_reads_them_and_what_they_are_of(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    write_columns(path, COLUMNS, {"run": "r", "nodes": "alice bob"})
    table = pq.read_table(path)
    assert table.schema.metadata == {b"run": b"r", b"nodes": b"alice bob"}
    assert table.to_pylist()[1] == {"round": 70_000_000_000, "pattern": 8, "bell": "psi-", "bright": False}


def test_no_pair_is_a_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    write_columns(path, {name: column[:0] for name, column in COLUMNS.items()}, {})
    back = read_columns(path)
    assert {name: len(column) for name, column in back.items()} == dict.fromkeys(COLUMNS, 0)
    assert back["round"].dtype == np.int64


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pairs.parquet"
    write_columns(path, COLUMNS, {})

    def stop_here(draft: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop_here)
    with pytest.raises(KeyboardInterrupt):
        write_columns(path, {"round": np.zeros(5, np.int64)}, {})
    assert len(read_columns(path)["round"]) == 2


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"columns of \[1, 2\] rows"):
        write_columns(tmp_path / "x", {"a": np.zeros(1), "b": np.zeros(2)}, {})


@pytest.mark.parametrize("content", [None, b"PAR1 and then nothing"])
def test_what_is_missing_or_damaged_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "pairs.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(QnodeError, match=r"pairs\.parquet can't be read: "):
        read_columns(path)
