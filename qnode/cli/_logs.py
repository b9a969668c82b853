"""``qnode logs``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from qnode.cli._lab import load
from qnode.runs import merged_log

__all__ = ["logs"]

LOOK_AGAIN_S = 0.5


def logs(lab_path: Path, follow: bool, data: Path | None, as_json: bool) -> None:
    """Print the merged log, and go on with what comes."""
    _, folder = load(lab_path, data)
    if not follow:
        if as_json:
            sys.stdout.write(json.dumps({"entries": list(merged_log(folder))}) + "\n")
        else:
            _print(merged_log(folder), _line)
        return
    tails: dict[Path, int] = {}
    while True:
        entries = sorted(_new(folder, tails), key=lambda entry: str(entry.get("wall", "")))
        # Without an end there is no one document: one a line.
        _print(entries, json.dumps if as_json else _line)
        time.sleep(LOOK_AGAIN_S)


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "log").glob("*.jsonl"))


def _new(folder: Path, tails: dict[Path, int]) -> list[dict[str, Any]]:
    """Whole lines that were written since the last look; ``tails`` says how far each file was read."""
    entries = []
    for path in _files(folder):
        with path.open("rb") as file:
            file.seek(tails.get(path, 0))
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        tails[path] = tails.get(path, 0) + len(whole)
        for line in whole.splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue
    return entries


def _print(entries: Iterable[dict[str, Any]], line: Callable[[dict[str, Any]], str]) -> None:
    for entry in entries:
        sys.stdout.write(line(entry) + "\n")
    sys.stdout.flush()


def _line(entry: dict[str, Any]) -> str:
    rest = {k: v for k, v in entry.items() if k not in ("wall", "site", "level", "event", "traceback")}
    fields = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in rest.items())
    return f"{entry.get('wall', '')} {entry.get('site', ''):<12} {entry.get('event', '')} {fields}".rstrip()
