"""Ctrl-C, SIGTERM, kill -9 of the run: dark as the world sees it, nothing left behind."""

import json
import signal

import pytest
from _faultruns import BackgroundRun, await_condition, dark, processes_of, require_heralds_once


def photons(lab):
    return lab.ask_simulators({"op": "photons"})


def lit(lab):
    """Both nodes give off light, as the world sees it."""
    return all(node["zero_phonon_line_per_s"] > 0 for node in photons(lab)["nodes"].values())


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_an_interrupted_run_leaves_nothing(lab, number):
    with BackgroundRun(lab, "--heralds", "100000", "--speed", "max") as run:
        run.await_middle()
        assert lit(lab)
        run.signal(number)
        result = run.result()
    assert result["exit"] == 130
    assert "interrupted" in result["stderr"]
    assert "Traceback" not in result["stderr"]
    assert not processes_of(lab.folder)
    document = json.loads((next((lab.data / "runs").iterdir()) / "run.json").read_text())
    assert document["state"] == "interrupted"
    assert {e["site"] for e in lab.log() if e["event"] == "stopped"} == {"alice", "bob", "midpoint"}
    assert not [e for e in lab.log() if e["event"] == "safe state failed"]


def test_an_interrupted_start_leaves_nothing(lab):
    with BackgroundRun(lab, "--heralds", "100000", "--speed", "max") as run:
        await_condition((lab.data / "log" / "alice.out").exists, "alice is started")
        run.signal(signal.SIGINT)
        result = run.result()
    assert result["exit"] == 130
    assert "Traceback" not in result["stderr"]
    assert not processes_of(lab.folder)


def test_stops_on_a_lab_that_stays_up(lab):
    """One lab, three ways to stop; after each the world is dark and the next run finds all parties at rest."""
    lab.start_all()

    # Ctrl-C of the operator's run: its plan is aborted, the daemons stay.
    with BackgroundRun(lab, "--heralds", "100000") as run:
        plan = run.await_middle()
        assert lit(lab)
        run.signal(signal.SIGINT)
        assert run.result()["exit"] == 130
    assert dark(photons(lab))
    ends = [e for e in lab.log() if e["event"] == "plan ends early" and e["plan"] == plan]
    assert [e["reason"] for e in ends] == ["interrupted by the operator"]
    again = lab.run("--heralds", "30")
    assert again["exit"] == 0, again["stderr"]
    require_heralds_once(lab, again["run"], again["accounting"]["midpoint"])

    # SIGTERM of the midpoint: the nodes must not play on for it.
    with BackgroundRun(lab, "--heralds", "100000") as run:
        run.await_middle()
        assert lit(lab)
        midpoint = lab.processes["midpoint"]
        midpoint.terminate()
        assert midpoint.wait(90) == 0
        assert dark(photons(lab))
        lab.start("midpoint", "midpoint", str(lab.path), "midpoint")
        ended = run.result()
        assert ended["exit"] == 1
        assert "midpoint was stopped" in ended["stderr"]

    # SIGTERM of a node: its own instruments at once, the other's when the midpoint knows.
    with BackgroundRun(lab, "--heralds", "100000") as run:
        run.await_middle()
        assert lit(lab)
        alice = lab.processes["alice"]
        alice.terminate()
        assert alice.wait(90) == 0
        alone = photons(lab)["nodes"]["alice"]
        assert dark({"ok": True, "nodes": {"alice": alone}})
        lab.start("alice", "node", str(lab.path), "alice")
        await_condition(lambda: dark(photons(lab)), "bob is dark too")
        ended = run.result()
        assert ended["exit"] == 1
        assert "alice" in ended["stderr"].strip().splitlines()[-1]
    again = lab.run("--heralds", "30")
    assert again["exit"] == 0, again["stderr"]
