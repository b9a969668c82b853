"""A link cut, an instrument unplugged: the run goes on where it stopped, or ends and says which one it was."""

import contextlib

import pytest
from _faultnet import FaultProxy
from _faultruns import BackgroundRun, require_equal_sums, require_heralds_once, standing

PORTS = (5700, 5701)
"""Command and stream port of a site."""


@contextlib.contextmanager
def tunnel(lab, site, host):
    """Proxies at another address with a site's ports, for ``--via``."""
    at = {"alice": 10, "midpoint": 30}[site]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                FaultProxy(f"tcp://{lab.block}{at}:{port}", listen_host=f"{lab.block}{host}", listen_port=port)
            )
            for port in PORTS
        ]


def test_a_link_cut_for_five_seconds_changes_no_herald(lab):
    """Lab time waits for who is not heard: the run has the heralds of an undisturbed one, each once."""
    with tunnel(lab, "midpoint", 91) as to_midpoint, tunnel(lab, "alice", 92) as to_alice:
        lab.start("simulators", "simulate", str(lab.path), "--speed", "max", "--seed", "5")
        lab.start("alice", "node", str(lab.path), "alice", "--via", f"midpoint={lab.block}91")
        lab.start("bob", "node", str(lab.path), "bob")
        lab.start("midpoint", "midpoint", str(lab.path), "midpoint", "--via", f"alice={lab.block}92")
        with BackgroundRun(lab, "--heralds", "150") as run:
            run.await_middle(5_000)
            for proxy in (*to_midpoint, *to_alice):
                proxy.cut()
            standing(lab, at_least_s=5.0)
            for proxy in (*to_midpoint, *to_alice):
                proxy.heal()
            cut = run.result()
    lab.stop_all()
    assert cut["exit"] == 0, cut["stderr"]
    sums = require_equal_sums(cut)
    require_heralds_once(lab, cut["run"], sums)
    whole = lab.run("--heralds", "150", "--speed", "max", "--seed", "5")
    assert cut["heralds_sha256"] == whole["heralds_sha256"]
    # What little is masked (charge checks that fail by chance) would have been masked anyway.
    assert sums == require_equal_sums(whole)


@pytest.mark.long
def test_a_link_that_stays_cut_ends_the_run_and_names_the_node(lab):
    with tunnel(lab, "midpoint", 91) as to_midpoint, tunnel(lab, "alice", 92) as to_alice:
        lab.start("simulators", "simulate", str(lab.path), "--speed", "max")
        lab.start("alice", "node", str(lab.path), "alice", "--via", f"midpoint={lab.block}91")
        lab.start("bob", "node", str(lab.path), "bob")
        lab.start("midpoint", "midpoint", str(lab.path), "midpoint", "--via", f"alice={lab.block}92")
        with BackgroundRun(lab, "--heralds", "100000") as run:
            run.await_middle()
            for proxy in (*to_midpoint, *to_alice):
                proxy.cut()
            result = run.result()
        assert result["exit"] == 1
        assert "nothing was heard of alice" in result["stderr"]
        for proxy in (*to_midpoint, *to_alice):
            proxy.heal()
        # Alice hears how it ended as soon as she hears anything, and plays the next plan.
        again = lab.run("--heralds", "50")
        assert again["exit"] == 0, again["stderr"]
        require_equal_sums(again)


def pull(lab, instrument, fault):
    """As `qnode fault` does it, without the time of a new process."""
    assert lab.ask_simulators({"op": "fault", "instrument": instrument, "fault": fault})["ok"]


@pytest.mark.parametrize(
    "instruments",
    [
        ("alice.awg", "alice.tagger", "midpoint.pulser", "midpoint.tagger"),
        pytest.param(("bob.pulser", "bob.awg", "bob.tagger"), marks=pytest.mark.long),
    ],
    ids=["each kind", "of the second node"],
)
def test_unplugged_instruments_end_the_run_are_named_and_play_again_when_plugged(lab, instruments):
    lab.start_all()
    for instrument in instruments:
        with BackgroundRun(lab, "--heralds", "100000") as run:
            run.await_middle()
            pull(lab, instrument, "unplug")
            result = run.result()
        assert result["exit"] == 1, instrument
        last_line = result["stderr"].strip().splitlines()[-1]
        assert instrument in last_line, result["stderr"]
        sums = require_equal_sums(result)
        assert sums["masked"] > 0, instrument
        require_heralds_once(lab, result["run"], sums)
        pull(lab, instrument, "plug")
    # While nothing is played nobody notices: what the AWG holds is asked before each plan, never remembered.
    for fault in ("unplug", "plug"):
        pull(lab, "bob.awg", fault)
    good = lab.run("--heralds", "100")
    assert good["exit"] == 0, good["stderr"]
    require_equal_sums(good)
    # A charge check that fails by chance (less than 8 of 25 photons, once in 40,000) is no fault.
    assert set(good["reasons"]["midpoint"].get("masked", {})) <= {"charge"}
    assert good["fidelity"] == pytest.approx(0.65, abs=5 * good["fidelity_err"])
