"""`qnode demo` as a newcomer meets it: on a terminal, interrupted, killed, and in a folder where things are wrong."""

import contextlib
import os
import pty
import re
import signal
import socket
import subprocess
import sys

import pytest
from _faultruns import BackgroundRun, await_condition, processes_of

DEMO = ("demo",)


def on_a_terminal(lab, *options):
    """Exit code, stdout, and what stderr shows on a terminal of 120 columns."""
    controller, terminal = pty.openpty()
    with (lab.folder / "stdout").open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "qnode", "demo", str(lab.path), "--data", str(lab.data), *options],
            cwd=lab.folder,
            env={**lab.environment(), "COLUMNS": "120", "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=terminal,
        )
    os.close(terminal)
    seen = bytearray()
    # A pseudo-terminal whose other end is closed ends in an error.
    with contextlib.suppress(OSError):
        while part := os.read(controller, 65536):
            seen += part
    os.close(controller)
    text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", seen.decode(errors="replace"))
    return process.wait(90), (lab.folder / "stdout").read_text(), text


def test_a_demo_shows_its_lab_and_prints_its_figures_beside_the_prediction(lab):
    code, printed, shown = on_a_terminal(lab, "--heralds", "60")
    assert code == 0, shown[-2000:]
    for site in ("alice", "bob", "midpoint"):
        assert re.search(rf"│ {site} +│ (ready|playing)", shown), shown[-2000:]
    assert re.search(r"[1-9]\d*/60 heralds +[\d.]+ Hz", shown)
    assert shown.index("all healthy") < shown.index("first heralds")
    assert "Ctrl-C stops everything safely" in shown
    rate, error, predicted = map(
        float, re.search(r"rate \[Hz\]\s+│\s+([\d.]+) ± ([\d.]+)\s+│\s+([\d.]+)", printed).groups()
    )
    assert abs(rate - predicted) < 4 * error
    for row in ("psi+ XX", "psi- ZZ", "psi+ F", "psi- F"):
        assert re.search(rf"{re.escape(row)} +│ +-?[\d.]+ ± [\d.]+ │ +-?[\d.]+ │", printed), row
    assert re.search(r"in .*data/runs/\S+-heralding-\w+", printed)
    assert not processes_of(lab.folder)


@pytest.mark.parametrize(
    "moment", ["simulators start", pytest.param("daemons start", marks=pytest.mark.long), "rounds are played"]
)
def test_interrupted_at_any_moment_it_exits_130_and_leaves_nothing(lab, moment):
    with BackgroundRun(lab, "--heralds", "5000", play=DEMO) as run:
        if moment == "rounds are played":
            run.await_middle(300)
        else:
            out = lab.data / "log" / ("simulators.out" if moment == "simulators start" else "midpoint.out")
            await_condition(out.exists, moment)
        run.signal(signal.SIGINT)
        result = run.result()
    assert result["exit"] == 130
    assert "Traceback" not in result["stderr"]
    assert not processes_of(lab.folder)


def test_killed_it_leaves_nothing(lab):
    with BackgroundRun(lab, "--heralds", "5000", play=DEMO) as run:
        run.await_middle(300)
        run.process.kill()
        await_condition(lambda: not processes_of(lab.folder), "all children stop by themselves")
    assert not [e for e in lab.log() if e["event"] == "safe state failed"]


def test_a_simulator_that_dies_ends_it_in_one_line(lab):
    with BackgroundRun(lab, "--heralds", "5000", play=DEMO) as run:
        run.await_middle(300)
        run.child("simulators").kill()
        result = run.result()
    assert result["exit"] == 1
    assert "simulators died (signal 9)" in result["stderr"].strip().splitlines()[-1]
    assert not processes_of(lab.folder)


def test_a_busy_port_ends_it_in_one_line_that_names_it(lab):
    with socket.create_server((f"{lab.block}13", 4000)):
        done = lab.qnode("demo", str(lab.path), "--data", str(lab.data))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "alice.awg" in last
    assert f"{lab.block}13" in last
    assert "Traceback" not in done.stderr
    assert not processes_of(lab.folder)


def test_a_missing_lab_file_ends_it_in_one_line(lab):
    done = lab.qnode("demo", "nowhere.yaml")
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
