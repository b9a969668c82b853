"""One log for all processes: JSON lines, a file a site, merged when read."""

from __future__ import annotations

import heapq
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["log_event", "merged_log", "open_log"]

_logger = logging.getLogger("qnode")


class _JsonLines(logging.Formatter):
    def __init__(self, site: str) -> None:
        super().__init__()
        self._site = site

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "wall": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "site": self._site,
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "qnode", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def open_log(site: str, data_folder: Path) -> Path:
    """Send this process's log to ``<data>/log/<site>.jsonl`` from now on; gives the file."""
    folder = data_folder / "log"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{site}.jsonl"
    _end_torn_line(path)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_JsonLines(site))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    _logger.setLevel(logging.INFO)
    return path


def log_event(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """One line of the log: what happened, and its values (``run=``, ``plan=``, ``lab_time_ps=`` ...)."""
    _logger.log(level, event, extra={"qnode": fields})


def merged_log(data_folder: Path) -> Iterator[dict[str, Any]]:
    """Lines of all sites in the order of wall time; torn lines are left out."""
    files = sorted((data_folder / "log").glob("*.jsonl"))
    yield from heapq.merge(*(_lines(path) for path in files), key=lambda entry: str(entry.get("wall", "")))


def _end_torn_line(path: Path) -> None:
    """What a killed process left half written must not swallow the first line of the next one."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                continue
