"""kill -9 and SIGSTOP of each process in mid-run: sums that hold, no herald twice, and the party's name."""

import random
import signal

import pytest
from _faultruns import (
    BackgroundRun,
    await_condition,
    dark,
    processes_of,
    require_equal_sums,
    require_heralds_once,
    standing,
)

VICTIMS = ("alice", "midpoint", "simulators", "bob")


def kill_in_the_middle(lab, victim, seed):
    rng = random.Random(seed)
    with BackgroundRun(lab, "--heralds", "100000", "--speed", "max", "--seed", str(seed)) as run:
        run.await_middle(rng.randrange(2_000, 60_000))
        run.child(victim).kill()
        result = run.result()
    assert result["exit"] == 1
    last_line = result["stderr"].strip().splitlines()[-1]
    assert f"{victim} died (signal 9)" in last_line, result["stderr"]
    assert not processes_of(lab.folder)
    return result


@pytest.mark.parametrize(("victim", "seed"), [("alice", 1), ("midpoint", 2)])
def test_a_killed_daemon_costs_rounds_and_no_herald_counts_twice(lab, victim, seed):
    result = kill_in_the_middle(lab, victim, seed)
    sums = require_equal_sums(result)
    assert sums["masked"] > 0
    require_heralds_once(lab, result["run"], sums)


def test_killed_simulators_end_the_run_with_sums_that_hold(lab):
    result = kill_in_the_middle(lab, "simulators", 3)
    sums = require_equal_sums(result)
    require_heralds_once(lab, result["run"], sums)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_kills_at_random_moments(lab, seed):
    victim = VICTIMS[seed % len(VICTIMS)]
    result = kill_in_the_middle(lab, victim, seed)
    sums = require_equal_sums(result)
    require_heralds_once(lab, result["run"], sums)


def test_a_killed_run_leaves_no_process(lab):
    with BackgroundRun(lab, "--heralds", "100000", "--speed", "max") as run:
        run.await_middle()
        family = run.family()
        # The run, simulators, three daemons, and a guard beside each of these.
        assert len(family) == 8
        run.process.kill()
        await_condition(lambda: not processes_of(lab.folder), "all children stop by themselves")
    # Not torn down but stopped: each daemon had the time to make its instruments safe.
    assert {e["site"] for e in lab.log() if e["event"] == "stopped"} == {"alice", "bob", "midpoint"}
    assert not [e for e in lab.log() if e["event"] == "safe state failed"]


@pytest.mark.long
def test_a_plan_whose_run_was_killed_is_ended(lab):
    """On a lab that stays up: light for nobody ends by itself."""
    lab.start_all()
    with BackgroundRun(lab, "--heralds", "100000", "--credit", "1") as run:
        plan = run.await_middle()
        run.process.kill()
        end = await_condition(
            lambda: [e for e in lab.log() if e["event"] == "plan ends early" and e["plan"] == plan], "its end"
        )
    assert "its run is gone" in end[0]["reason"]
    await_condition(lambda: dark(lab.ask_simulators({"op": "photons"})), "both nodes are dark")
    assert lab.run("--heralds", "30")["exit"] == 0


@pytest.mark.long
def test_daemons_take_up_simulators_that_were_started_anew(lab):
    lab.start_all()
    with BackgroundRun(lab, "--heralds", "100000") as run:
        run.await_middle()
        lab.processes["simulators"].kill()
        lab.processes["simulators"].wait(90)
        ended = run.result()
    assert ended["exit"] == 1
    require_heralds_once(lab, ended["run"], require_equal_sums(ended))
    lab.start("simulators", "simulate", str(lab.path), "--speed", "max")
    alice = await_condition(
        lambda: [e for e in lab.log() if e["event"] == "tags again" and e["site"] == "alice"], "alice has tags"
    )
    assert alice
    await_condition(lambda: lab.run("--heralds", "30")["exit"] == 0, "a run succeeds")


@pytest.mark.long
def test_a_stopped_node_stops_lab_time_and_is_named(lab):
    lab.start_all()
    with BackgroundRun(lab, "--heralds", "100000") as run:
        run.await_middle()
        alice = lab.processes["alice"]
        alice.send_signal(signal.SIGSTOP)
        standing(lab, at_least_s=5.0)
        result = run.result(timeout_s=180.0)
        alice.send_signal(signal.SIGCONT)
    assert result["exit"] == 1
    assert "nothing was heard of alice" in result["stderr"]
    await_condition(
        lambda: [e for e in lab.log() if e["event"] == "tags again" and e["site"] == "alice"], "alice has tags"
    )
    # Awake again, it hears how the plan ended, and its sums are those of the others.
    again = lab.run("--heralds", "50")
    assert again["exit"] == 0, again["stderr"]
