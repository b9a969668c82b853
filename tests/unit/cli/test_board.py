"""What a demo shows on a terminal of 80 columns, from answers that are made up."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from qnode.cli._board import Board
from qnode.client import Progress
from qnode.daemons import Supervisor


def states(**instruments: str) -> dict[str, Any]:
    found = {
        name: {"state": state.partition(":")[0], "detail": state.partition(": ")[2]}
        for name, state in instruments.items()
    }
    return {"state": "ready", "instruments": found}


def shown(board: Board) -> list[str]:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(board.picture())
    return console.export_text().splitlines()


def test_every_process_and_instrument_has_its_state(tmp_path: Path) -> None:
    board = Board("qnode demo", Console(width=80))
    supervisor = Supervisor(tmp_path)
    supervisor.children["simulators"] = SimpleNamespace(pid=None)  # type: ignore[assignment]
    board._supervisor = supervisor
    board._sites = {
        "alice": states(pulser="ready", awg="disconnected: no answer for 3 s", tagger="ready"),
        "midpoint": None,
    }
    lines = shown(board)
    assert any(re.search(r"│ alice +│ ready +│ ready: pulser, tagger +│", line) for line in lines), lines
    assert any("disconnected: awg, no answer for 3 s" in line for line in lines)
    assert any(re.search(r"│ midpoint +│ does not answer +│", line) for line in lines)
    assert any(re.search(r"│ simulators +│ has ended +│", line) for line in lines)


def test_progress_has_a_bar_and_a_line_of_its_own() -> None:
    board = Board("qnode demo", Console(width=80))
    board.progress(
        Progress(
            phase="heralding",
            rounds=4_521,
            heralds=239,
            heralds_wanted=800,
            lab_seconds=7.0,
            wall_seconds=20.0,
            rate_hz=35.4,
            fidelity=0.593,
            fidelity_err=0.05,
            wall_seconds_left=17.0,
        )
    )
    lines = shown(board)
    assert any(re.fullmatch(r"━+╸? *", line) for line in lines)
    assert any(
        line.startswith("4,521 rounds  239/800 heralds  35.4 Hz  F 0.593 ± 0.050  17 s left") for line in lines
    )
    assert any("first heralds are settled" in line for line in lines)
