"""Bringing a simulated lab up from Python, and down again: the commands that people type, typed for them."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from qnode.errors import MisuseError, NetworkError

__all__ = ["start_lab", "stop_lab"]

UP_S = 120.0
DOWN_S = 60.0


def start_lab(lab_path: Path, folder: Path, seed: int | None, speed: str | None) -> bool:
    """``qnode up -d``; whether it was us who started it: a lab that is up is left as it is.

    Raises:
        MisuseError: it is a rack, half of it runs, or a seed was given for a lab that is up.
        NetworkError: it did not come up.
    """
    options = [] if seed is None else ["--seed", str(seed)]
    options += [] if speed is None else ["--speed", speed]
    document = _qnode(["up", str(lab_path), "--detach", "--data", str(folder), "--json", *options], UP_S)
    return not document["already"]


def stop_lab(lab_path: Path, folder: Path) -> None:
    """``qnode stop``: instruments safe first; returns when all processes are gone.

    Raises:
        NetworkError: they do not end.
    """
    _qnode(["stop", str(lab_path), "--data", str(folder), "--json"], DOWN_S)


def _qnode(words: list[str], timeout_s: float) -> dict[str, Any]:
    """The document that a command prints."""
    command = subprocess.Popen(
        [sys.executable, "-m", "qnode", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, said = command.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise NetworkError(f"`qnode {words[0]} {words[1]}` is not done after {timeout_s:g} s") from None
    finally:
        if command.poll() is None:
            # It takes down what it has begun.
            command.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.communicate(timeout=DOWN_S)
    if command.returncode != 0:
        text = said.decode(errors="replace").strip().removeprefix("qnode: ") or f"exit code {command.returncode}"
        raise (MisuseError if command.returncode == 2 else NetworkError)(text)
    document: dict[str, Any] = json.loads(out)
    return document
