"""The tutorial notebook, cell by cell, on a lab that it brings up and takes down itself."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial" / "first_pairs.ipynb"


def test_every_cell_runs_and_the_lab_is_down_at_the_end(tmp_path: Path, lab_copy: Any, monkeypatch: Any) -> None:
    folder = tmp_path / "docs" / "tutorial"
    folder.mkdir(parents=True)
    copy = lab_copy(tmp_path)
    (tmp_path / "config").mkdir()
    shutil.move(copy.path, tmp_path / "config" / "two_nodes.yaml")
    for name, value in copy.environment().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    try:
        client.execute()
    finally:
        left = copy.qnode(
            "stop", str(tmp_path / "config" / "two_nodes.yaml"), "--data", str(folder / "qnode-data"), "--json"
        )
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in shown if output.output_type == "error"] == []
    assert any("image/png" in output.get("data", {}) for output in shown)
    fidelities = [output.text for output in shown if output.output_type == "stream" and "echo" in output.text]
    # Without the echo the spins lose their phase before they are read: far more than both errors together.
    with_echo, without = (float(value) for value in re.findall(r"echo +(0\.\d+)", "".join(fidelities)))
    assert with_echo - without > 0.15
    assert left.returncode == 0, left.stderr
    assert '"stopped": []' in left.stdout


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 8
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
