"""`qnode show` on folders as runs leave them: done, failed, killed, damaged."""

from __future__ import annotations

import json
import re
import webbrowser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qnode.cli import _runs
from qnode.client import (
    Pair,
    Pairs,
    PlayedPlan,
    Progress,
    _record,
    keep,
    opening_facts,
    pairs_document,
    reached,
    take_notes,
    try_report,
    write_report,
)
from qnode.errors import QnodeError
from qnode.heralds import LinkPrograms
from qnode.labfile import load_lab, load_world
from qnode.runs import RunFolder, read_columns
from qnode.tags import Recorder, TagBlock, write_tags

LAB = Path(__file__).parents[3] / "config" / "two_nodes.yaml"
SCREEN = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of the two-node lab, just opened."""
    lab = load_lab(LAB)
    link = lab.links[0]
    programs = LinkPrograms(lab, link, dict.fromkeys(link.between, "XYZ"))
    folder = RunFolder(tmp_path, "20260101-120000-heralding-0000")
    what = {"experiment": "heralding", "link": link.name, "heralds_wanted": 2, "simulated": ["alice.awg"]}
    folder.open(LAB, {**what, **opening_facts(lab, link, load_world(LAB), 7, programs)})
    return folder


def pairs_of(run: RunFolder) -> Pairs:
    """Two plans of 10 and 20 rounds; a pair in each."""
    link = load_lab(LAB).links[0]
    herald_open_ps = run.read("run.json")["herald_open_ps"]
    common: dict[str, Any] = {"pattern": 1, "bell": "psi+", "bases": ("X", "Z"), "outcomes": (1, -1)}
    common["bright"] = (True, False)
    # Round 4 of the first plan, attempt 2, 3 ns into the window; round 1 of the second, attempt 0, 7 ns.
    first_ps = herald_open_ps + 4 * 1_495_000_000 + 2 * 5_500_000 + 3_000
    pairs = Pairs(
        run.run_id,
        link,
        [
            Pair(round=4, attempt=2, click_ps=first_ps, plan_id="aa", **common),
            Pair(round=11, attempt=0, click_ps=herald_open_ps + 1_495_000_000 + 7_000, plan_id="bb", **common),
        ],
    )
    pairs.plans = [PlayedPlan("aa", 1_000, 0, 10), PlayedPlan("bb", 1_010, 10, 20)]
    pairs.rounds, pairs.ended = 30, "done"
    return pairs


def kept(run: RunFolder) -> Path:
    pairs = pairs_of(run)
    report = keep(run, pairs, pairs_document(pairs, load_lab(LAB).links[0], ["alice.awg"]), print)
    assert report is not None
    return report


def show(run: RunFolder, capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    """What is printed, ends of lines taken out: a terminal of any width breaks them elsewhere."""
    asked = {"as_json": False, "open_it": False, "html": None, **options}
    _runs.show_run(run.run_id, run.path.parents[1], **asked)
    return capsys.readouterr().out


def test_a_run_leaves_all_that_its_page_needs(run: RunFolder) -> None:
    report = kept(run)
    assert report == run.path / "report.html"
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        "run.json",
        "lab.yaml",
        "result.json",
        "pairs.parquet",
        "predict.json",
        "round.svg",
        "report.html",
    }
    assert run.read("run.json")["state"] == "done"
    assert run.read("predict.json")["fidelity"] == pytest.approx(0.6506, abs=1e-4)  # as the README prints it
    assert "<svg" in (run.path / "round.svg").read_text(encoding="utf-8")


def test_notes_compare_with_the_prediction_and_count_what_was_taken_back(run: RunFolder) -> None:
    pairs = pairs_of(run)
    pairs.rounds = 1_400  # 2.09 s at the 33.94 Hz that the README prints
    pairs.expired = [[3, 17, "line_missing"]]
    pairs.accounting = {"midpoint": {"slots": {"slots": 100, "masked": 6}, "reasons": {"masked": {"charge": 6}}}}
    take_notes(run, pairs, load_lab(LAB).links[0])
    assert pairs.notes == [
        "6.0% of all slots were masked: charge 6.0%",
        "1 herald was taken back: line missing 1",
        "2 heralds in 2.1 s of lab time, where 71 were predicted: "
        "look at lasers, fibres and detectors, and at what was masked",
    ]


def test_notes_miss_a_bell_state_of_the_protocol_and_no_other(run: RunFolder) -> None:
    one, _ = pairs_of(run)
    pairs = Pairs(run.run_id, load_lab(LAB).links[0], [one] * 100)
    take_notes(run, pairs, load_lab(LAB).links[0])
    assert pairs.notes == ["none of 100 heralds was psi-: look at both detectors, their bias and their wires"]


def test_attempts_are_those_that_count(run: RunFolder) -> None:
    pairs = pairs_of(run)
    slots = {
        "slots": 1_000,
        "not_played": 300,
        "failed": 497,
        "heralded": 2,
        "vetoed": 1,
        "masked": 190,
        "expired": 10,
    }
    pairs.accounting = {"midpoint": {"slots": slots}}
    document = pairs_document(pairs, load_lab(LAB).links[0], [])
    assert (document["attempts"], document["p_herald"]) == (500, 0.004)


def test_a_click_has_its_place_in_the_window_whatever_its_round_and_plan(run: RunFolder) -> None:
    kept(run)
    columns = read_columns(run.path / "pairs.parquet")
    assert columns["offset_ps"].tolist() == [3_000, 7_000]
    assert columns["round"].tolist() == [4, 11]
    assert columns["bases_alice"].tolist() == ["X", "X"]
    assert columns["outcomes_bob"].tolist() == [-1, -1]
    assert columns["bright_alice"].tolist() == [True, True]
    assert columns["plan_id"].tolist() == ["aa", "bb"]


def test_what_is_said_from_the_beginning(run: RunFolder) -> None:
    facts = run.read("run.json")
    assert facts["world_seed"] == 7
    assert facts["lab"] == "two_nodes"
    assert len(facts["lab_sha256"]) == 64
    assert facts["detection"]["window_ps"] == 25_000
    assert facts["detection"]["opens_ps"] == [0]


def test_show_prints_a_summary_for_people(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    kept(run)
    out = show(run, capsys)
    assert f"{run.run_id}: done" in out
    assert "simulated: alice.awg" in out
    assert "alice-bob: 2 settled heralds" in out
    assert f"report {run.path / 'report.html'}" in out
    assert '"result"' not in out


def test_json_is_one_document_and_writes_nothing(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = pairs_of(run)
    run.write("result.json", pairs_document(pairs, load_lab(LAB).links[0], []))
    document = json.loads(show(run, capsys, as_json=True))
    assert document["result"]["heralds"] == 2
    assert document["run"] == run.run_id
    assert not (run.path / "report.html").exists()


def test_a_page_elsewhere_leaves_the_folder_without_one(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(run, capsys, html=tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert not (run.path / "report.html").exists()


def test_a_page_that_can_not_be_written_is_one_line(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        QnodeError, match=r"the report of 2026.* can't be .*page.html could not .*No such file"
    ) as caught:
        show(run, capsys, html=run.path / "no" / "page.html")
    assert caught.value.hint == "name another file with --html"


def test_a_killed_run_and_an_interrupted_one_say_how_far_they_came(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{run.run_id}: running" in show(run, capsys)
    assert "was killed" in (run.path / "report.html").read_text(encoding="utf-8")
    progress = Progress("heralding", 120, 9, 20, 1.0, 1.0, 5.0, None, None, None)
    run.close("interrupted", **reached(progress))
    out = show(run, capsys)
    assert f"{run.run_id}: interrupted" in out
    assert "it came to 120 rounds, 9 heralds" in out
    assert "120 rounds and 9 heralds of 2, in the phase heralding" in (run.path / "report.html").read_text("utf-8")


def test_a_run_of_an_older_qnode_is_shown_with_what_it_left(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    run.write("run.json", {"run": run.run_id, "state": "failed", "error": "why", "link": "alice-bob"})
    (run.path / "lab.yaml").write_text("schema: 0\n")
    assert f"{run.run_id}: failed: why" in show(run, capsys)


def test_a_browser_is_asked_only_where_there_is_a_screen(
    run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    monkeypatch.setattr("sys.platform", "linux")
    for name in SCREEN:
        monkeypatch.delenv(name, raising=False)
    _runs.show_run(run.run_id, run.path.parents[1], False, True, None)
    assert opened == []
    assert "no browser can be opened here" in capsys.readouterr().err
    monkeypatch.setenv("DISPLAY", ":0")
    _runs.show_run(run.run_id, run.path.parents[1], False, True, None)
    assert opened == [(run.path / "report.html").resolve().as_uri()]
    assert capsys.readouterr().err == ""


def test_a_report_that_fails_never_fails_the_run(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def broken(record: Any) -> str:
        raise ZeroDivisionError("no heralds")

    monkeypatch.setattr(_record, "report_html", broken)
    assert try_report(run, said.append) is None
    assert said == [f"the report of run {run.run_id} could not be written: no heralds"]
    assert not (run.path / "report.html").exists()


def test_a_damaged_result_is_named(run: RunFolder) -> None:
    (run.path / "result.json").write_text("{")
    with pytest.raises(QnodeError, match=r"result\.json can't be read"):
        write_report(run, run.path / "report.html")


def test_a_prediction_once_made_stays(run: RunFolder) -> None:
    """The prediction is of the lab file and the code that ran, not of those that show the run."""
    run.write("predict.json", {"fidelity": 0.25})
    write_report(run, run.path / "report.html")
    assert run.read("predict.json") == {"fidelity": 0.25}


def test_tapes_of_all_plans_are_in_the_arrivals(run: RunFolder) -> None:
    folder = run.path / "midpoint"
    folder.mkdir()
    open_ps = run.read("run.json")["detection"]["first_open_ps"]
    for plan, channel in (("aa", 1), ("bb", 2)):
        # A sync of round 0, and a click 2 ns after the first window of attempt 1 opened.
        block = TagBlock(np.array([0, open_ps + 5_502_000]), np.array([3, channel], np.uint8))
        write_tags(folder / f"tags-{plan}.parquet", [block], meta={})
    page = write_report(run, run.path / "report.html").read_text(encoding="utf-8")
    assert "Arrival times around the detection window: 2 tags in the window, 0 beside it" in page


def test_the_spool_of_a_killed_daemon_counts_and_a_damaged_tape_is_named(run: RunFolder) -> None:
    folder = run.path / "midpoint"
    folder.mkdir()
    open_ps = run.read("run.json")["detection"]["first_open_ps"]
    recorder = Recorder(folder / "tags-aa.arrow")
    recorder.put(TagBlock(np.array([0, open_ps]), np.array([3, 2], np.uint8)))
    recorder.close()
    (folder / "tags-bb.parquet").write_bytes(b"PAR1 and then nothing")
    page = write_report(run, run.path / "report.html").read_text(encoding="utf-8")
    assert "Arrival times around the detection window: 1 tags in the window, 0 beside it" in page
    assert "midpoint/tags-bb.parquet" in page


# --- the page about all of it ---

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "run-folder.md").read_text(encoding="utf-8")


def first_cells(section: str) -> set[str]:
    """Names in the first column of a section's table."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_reference_names_every_column_and_no_other(run: RunFolder) -> None:
    kept(run)
    columns = {re.sub("_(alice|bob)$", "_NODE", name) for name in read_columns(run.path / "pairs.parquet")}
    assert first_cells("pairs.parquet") == columns


def test_the_reference_names_what_a_run_says(run: RunFolder) -> None:
    assert first_cells("run.json") <= {*run.read("run.json"), "reached"}


def test_the_snippet_of_the_reference_runs(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(run)
    data = run.path.parents[1] / "qnode-data"
    data.mkdir()
    (run.path.parent).rename(data / "runs")
    monkeypatch.chdir(data.parent)
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(snippet, {})
    assert capsys.readouterr().out == "2 5.0 ns after the window opens\n"
