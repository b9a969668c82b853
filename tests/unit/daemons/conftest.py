"""A disk that a test can make hang under the tapes of a daemon."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from _disks import UnbufferedFile

from qnode.tags import _recorder


class SlowDisk(UnbufferedFile):
    """An unbuffered file on which each write waits until the test lets it."""

    def __init__(self, path: Path, gate: threading.Event) -> None:
        super().__init__(path)
        self.gate = gate

    def write(self, data: memoryview) -> int:
        assert self.gate.wait(30)
        return self.file.write(data)


@pytest.fixture
def disk_gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While it is cleared, writes of all tapes hang; it is set at first."""
    gate = threading.Event()
    gate.set()
    monkeypatch.setattr(_recorder, "_open_unbuffered", lambda path: SlowDisk(path, gate))
    yield gate
    gate.set()  # no thread is left behind
