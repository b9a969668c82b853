"""One log for all processes: JSON lines, a file a site, merged when read."""

from __future__ import annotations

import errno
import heapq
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qnode.runs._errors import writing

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


class _LogFile(logging.Handler):
    """Appends whole lines, one ``write`` each; a line that the disk does not take is lost, counted and told later."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._torn = False
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._lost:
                text = f"{self._lost} lines of the log were lost: the disk did not take them"
                self._append(self.format(logging.LogRecord("qnode", logging.ERROR, "", 0, text, None, None)))
                self._lost = 0
            self._append(self.format(record))
        except OSError:
            # Never an error of whoever has something to say.
            self._lost += 1
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        self.acquire()
        try:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)
        finally:
            self.release()
        super().close()

    def _append(self, line: str) -> None:
        data = (("\n" if self._torn else "") + line + "\n").encode("utf-8", "backslashreplace")
        written = os.write(self._fd, data)
        self._torn = written < len(data)
        if self._torn:
            raise OSError(errno.ENOSPC, "no more fits")


def open_log(site: str, data_folder: Path) -> Path:
    """Send this process's log to ``<data>/log/<site>.jsonl`` from now on; gives the file.

    Raises:
        DataFolderError: the file can't be made.
    """
    folder = data_folder / "log"
    path = folder / f"{site}.jsonl"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        _end_torn_line(path)
        handler = _LogFile(path)
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
