"""Copies of the example lab file with single places changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qnode.labfile import LabFileError, load_lab_and_world

EXAMPLE = Path(__file__).parents[3] / "config" / "two_nodes.yaml"


class Changed:
    """The example with texts exchanged, written to a file of its own."""

    def __init__(self, path: Path, *changes: tuple[str, str]) -> None:
        text = EXAMPLE.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        path.write_text(text)
        self.path, self.text = path, text

    def line(self, part: str, which: int | None = None) -> int:
        """The line (from 1) on which a text stands; it stands on one only, or the first, second ... is meant."""
        found = [number for number, line in enumerate(self.text.splitlines(), 1) if part in line]
        assert found if which else len(found) == 1, (part, found)
        return found[which - 1 if which else 0]

    def faults(self) -> list[tuple[int, str]]:
        """(line, text) of all faults of the file."""
        try:
            load_lab_and_world(self.path)
        except LabFileError as error:
            return [(fault.line, fault.text) for fault in error.faults]
        return []


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Changed]:
    """``changed((old, new), ...)``."""
    return lambda *changes: Changed(tmp_path / "lab.yaml", *changes)
