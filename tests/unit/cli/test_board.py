"""What a demo shows on a terminal of 80 columns, from answers that are made up."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from qnode.cli._board import Board
from qnode.client import Progress
from qnode.daemons import Supervisor
from qnode.labfile import load_lab

LAB = load_lab(Path(__file__).parents[3] / "config" / "two_nodes.yaml")
NODE = "pulser, awg, tagger, lasers, repump, microwave"


def states(**instruments: str) -> dict[str, Any]:
    found = {
        name: {"state": state.partition(":")[0], "detail": state.partition(": ")[2]}
        for name, state in instruments.items()
    }
    return {"state": "ready", "instruments": found}


def shown(board: Board, columns: int = 80) -> list[str]:
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(board.picture())
    return console.export_text().splitlines()


def board() -> Board:
    return Board("qnode demo", LAB, Console(width=80))


def processes(folder: Path, **children: tuple[int | None, bool]) -> Supervisor:
    """A supervisor of children with a pid, and whether they have said that they are ready."""
    supervisor = Supervisor(folder)
    for name, (pid, ready) in children.items():
        said = SimpleNamespace(done=lambda ready=ready: ready)
        supervisor.children[name] = SimpleNamespace(pid=pid, ready=said)  # type: ignore[assignment]
    return supervisor


def test_sites_and_instruments_are_there_before_anything_else_is() -> None:
    lines = shown(board(), 100)
    for site in ("alice", "bob"):
        assert any(re.search(rf"│ {site} +│ connecting +│ connecting: {NODE} +│", line) for line in lines), lines
    assert any(re.search(r"│ midpoint +│ connecting +│ connecting: pulser, tagger, snspd +│", line) for line in lines)


def test_processes_that_load_are_starting(tmp_path: Path) -> None:
    early = board()
    early.begun(processes(tmp_path, simulators=(11, False), alice=(12, False), bob=(13, False), midpoint=(14, False)))
    lines = shown(early)
    for name in ("alice", "bob", "midpoint", "simulators"):
        assert any(re.search(rf"│ {name} +│ starting +│", line) for line in lines), lines
    early.begun(processes(tmp_path, simulators=(11, True)))
    assert any(re.search(r"│ simulators +│ running +│", line) for line in shown(early))


@pytest.mark.parametrize(("ready", "state"), [(False, "starting"), (True, "does not answer")])
def test_a_daemon_that_gives_no_answer_is_silent_unless_it_is_being_started(
    tmp_path: Path, ready: bool, state: str
) -> None:
    again = board()
    again.begun(processes(tmp_path, bob=(13, ready)))
    again._answers["bob"] = None
    assert any(re.search(rf"│ bob +│ {state} +│", line) for line in shown(again))


def test_every_process_and_instrument_has_its_state(tmp_path: Path) -> None:
    late = board()
    late.begun(processes(tmp_path, simulators=(None, True)))
    late._answers = {
        "alice": states(pulser="ready", awg="disconnected: no answer for 3 s", tagger="ready"),
        "bob": states(pulser="connecting", awg="connecting", tagger="ready"),
        "midpoint": None,
    }
    lines = shown(late)
    assert any(re.search(r"│ bob +│ ready +│ ready: tagger +│", line) for line in lines), lines
    assert any("│ connecting: pulser, awg " in line for line in lines)
    assert any(re.search(r"│ alice +│ ready +│ ready: pulser, tagger +│", line) for line in lines), lines
    assert any("disconnected: awg, no answer for 3 s" in line for line in lines)
    assert any(re.search(r"│ midpoint +│ does not answer +│", line) for line in lines)
    assert any(re.search(r"│ simulators +│ has ended +│", line) for line in lines)


def test_progress_has_a_bar_and_a_line_of_its_own() -> None:
    playing = board()
    playing.progress(
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
    lines = shown(playing)
    assert any(re.fullmatch(r"━+╸? *", line) for line in lines)
    assert any(
        line.startswith("4,521 rounds  239/800 heralds  35.4 Hz  F 0.593 ± 0.050  17 s left") for line in lines
    )
    assert any("first heralds are settled" in line for line in lines)
