"""What real runs leave: pairs, tags, prediction, and a page with the numbers of the result."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qnode.runs import read_columns

DOUBLE_CLICK = Path(__file__).parents[2] / "config" / "two_nodes_double_click.yaml"


@pytest.fixture
def double(lab_copy: Any, tmp_path: Path) -> Iterator[Any]:
    copy = lab_copy(tmp_path, DOUBLE_CLICK)
    yield copy
    copy.stop_all()


def folder_of(lab: Any, result: dict[str, Any]) -> Path:
    return lab.data / "runs" / result["run"]


def require_record(folder: Path, result: dict[str, Any], window_ps: int) -> str:
    """The pairs on disk are those of the result; gives the page."""
    pairs = read_columns(folder / "pairs.parquet")
    assert len(pairs["round"]) == result["heralds"]
    for bell, estimate in result["bell_states"].items():
        assert int((pairs["bell"] == bell).sum()) == estimate["heralds"]
    assert (pairs["offset_ps"] >= 0).all()
    assert (pairs["offset_ps"] < window_ps).all()
    assert (np.diff(pairs["round"]) > 0).all()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page) < 1_500_000
    shown = set(re.findall(r"<code>([^<]*)</code>", page))
    for number in numbers_of(json.loads((folder / "result.json").read_text())):
        assert repr(number) in shown
    assert result["heralds_sha256"] in shown
    return page


def numbers_of(document: Any) -> Iterator[float]:
    if isinstance(document, dict):
        for part in document.values():
            yield from numbers_of(part)
    elif isinstance(document, int | float):
        yield document


def tags_in_window(page: str, which: str) -> int:
    return int(re.search(rf"Arrival times around the {which}: ([\d,]+) tags in the window", page)[1].replace(",", ""))


def test_a_run_leaves_its_pairs_and_a_page(lab):
    result = lab.run("--heralds", "150", "--speed", "max", "--seed", "3")
    assert result["exit"] == 0, result["stderr"]
    page = require_record(folder_of(lab, result), result, 25_000)
    # Every herald is a tag in the window; an attempt with a click ends its round, so there are not many more.
    assert result["heralds"] <= tags_in_window(page, "detection window") <= 1.2 * result["heralds"]
    calibration, *heralding = result["plans"]
    assert (calibration["kind"], {plan["kind"] for plan in heralding}) == ("readout_calibration", {"heralding"})
    assert sum(plan["settled_rounds"] for plan in heralding) == result["rounds"]
    # In a calibration the midpoint plays nothing.
    players = {"heralding": {"alice", "bob", "midpoint"}, "readout_calibration": {"alice", "bob"}}
    assert all(set(plan["sequences"]) == players[plan["kind"]] for plan in result["plans"])
    for estimate in result["bell_states"].values():
        assert sum(one["value"] for one in estimate["populations"].values()) == pytest.approx(1.0)
        # <ZZ> is what even populations have more than odd ones; both are corrected by inverting the same matrix.
        even, odd = (sum(estimate["populations"][n]["value"] for n in ns) for ns in (("00", "11"), ("01", "10")))
        assert even - odd == pytest.approx(estimate["correlators"]["ZZ"]["value"])
    shown = lab.qnode("show", "last", "--data", str(lab.data))
    assert shown.returncode == 0, shown.stderr
    assert f"{result['run']}: done" in shown.stdout
    assert f"{result['heralds']} settled heralds" in shown.stdout


@pytest.mark.long
def test_double_click_has_two_windows_and_its_populations_are_those_predicted(double):
    """Unequal bright states tell 01 from 10: the spins were flipped once by the time of the herald."""

    def lopsided(tree: Any) -> None:
        tree["links"][0]["bright_state"] = {"alice": 0.25, "bob": 0.75}

    double.edit(lopsided)
    result = double.run("--heralds", "250", "--speed", "max", "--seed", "4")
    assert result["exit"] == 0, result["stderr"]
    folder = folder_of(double, result)
    page = require_record(folder, result, 30_000)
    first, second = (tags_in_window(page, f"{which} window") for which in ("first", "second"))
    # Each herald has a click in both windows.
    assert min(first, second) > result["heralds"]
    predicted = json.loads((folder / "predict.json").read_text())["readings"]
    assert predicted["psi+"]["populations"]["10"] > 0.85
    for bell, estimate in result["bell_states"].items():
        for label, one in estimate["populations"].items():
            expected = predicted[bell]["populations"][label]
            assert one["value"] == pytest.approx(expected, abs=4 * one["error"]), (bell, label)


def test_an_interrupted_run_has_a_page_that_says_so(lab):
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "qnode", "run", "heralding", str(lab.path), "--data", str(lab.data)]
    process = subprocess.Popen(
        [*command, "--heralds", "100000", "--speed", "max"],
        cwd=lab.folder,
        env={**lab.environment(), "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        seen, interrupted = b"", False
        # A pseudo-terminal whose other end is closed ends in an error.
        with contextlib.suppress(OSError):
            while part := os.read(controller, 65536):
                seen += part
                # What it has shown it has heard of, whatever its daemons have written meanwhile.
                if not interrupted and b"/100,000 heralds" in seen:
                    process.send_signal(signal.SIGINT)
                    interrupted = True
        assert process.wait(90) == 130, seen[-2000:].decode(errors="replace")
    finally:
        os.close(controller)
        process.kill()
        process.wait(90)
    (folder,) = (lab.data / "runs").iterdir()
    facts = json.loads((folder / "run.json").read_text())
    assert facts["state"] == "interrupted"
    assert facts["reached"]["phase"] == "heralding"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "It was interrupted by the operator." in page
    assert f"{facts['reached']['rounds']:,} rounds and {facts['reached']['heralds']:,} heralds of 100,000" in page
