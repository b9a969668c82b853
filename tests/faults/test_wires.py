"""Every effect rides its wire: a cable is pulled behind the stack's back, and what it carried is gone.

The simulators run on a lab file without the cable, the daemons on the whole one.
"""

import json
import re

import numpy as np
import pytest
from _bench import (
    ALPHA,
    INDISTINGUISHABILITY,
    LIFETIME_NS,
    SingleClick,
    agree,
    brighter,
    columns,
    efficiency,
    heralds_received,
    mean_correlators,
    parties_agree,
    rows,
    share,
)


@pytest.fixture
def bright_lab(lab):
    lab.edit(brighter)
    return lab


def attempts_of(lab, party):
    """The attempt after which each round ended, as a party saw it; -1: it was played to its end."""
    return np.concatenate([np.frombuffer(column.attempt, "<i2") for column in columns(lab, party)])


def p_herald(result):
    return result["p_herald"], result["p_herald_err"]


def refusal(lab, node):
    """What a run says that ends with its calibration; no photon was to be heralded."""
    result = lab.qnode("run", "heralding", str(lab.path), "--data", str(lab.data), "--json", "--heralds", "100")
    assert result.returncode == 1, result.stdout
    assert not any(entry.get("plan_kind") == "heralding" for entry in lab.log())
    said = result.stderr.splitlines()[-1]
    assert said.startswith("qnode: the run ended early: readout calibration: ")
    assert node in said
    return said


def test_without_the_herald_line_software_heralds_arrive_and_every_one_of_them_expires(bright_lab, remove_wire):
    for end in ("alice.awg.event", "alice.tagger.in3", "bob.awg.event", "bob.tagger.in3"):
        bright_lab.edit_world(remove_wire(end))
    bright_lab.start_all()
    result = bright_lab.run("--heralds", "100")
    assert result["exit"] == 1
    assert "line_missing" in result["stderr"].replace(" ", "_")
    sums = parties_agree(result)
    assert sums["heralded"] == 0
    assert sums["expired"] > 100
    assert result["reasons"]["midpoint"]["expired"] == {"line_missing": sums["expired"]}
    assert heralds_received(bright_lab, "alice") == heralds_received(bright_lab, "bob") == sums["expired"]
    assert rows(bright_lab, "alice") == rows(bright_lab, "bob") == []


def test_without_one_nodes_line_nothing_is_copied_from_the_other_node(bright_lab, remove_wire):
    for end in ("alice.awg.event", "alice.tagger.in3"):
        bright_lab.edit_world(remove_wire(end))
    bright_lab.start_all()
    result = bright_lab.run("--heralds", "100")
    assert result["exit"] == 1
    sums = parties_agree(result)
    assert sums["heralded"] == 0
    assert result["reasons"]["alice"]["expired"] == {"line_missing": sums["expired"]}
    # Alice says of herself what she saw: all rounds played to their end. Bob saw as many lines as there were heralds.
    assert (attempts_of(bright_lab, "alice") == -1).all()
    assert int((attempts_of(bright_lab, "bob") >= 0).sum()) == sums["expired"] > 100
    # Bob's branch was played: its readout has photons.
    assert sum(row.readout_counts > 0 for row in rows(bright_lab, "bob")) > sums["expired"] / 4


@pytest.mark.long
def test_without_the_herald_lines_own_tag_the_midpoint_announces_nothing(bright_lab, remove_wire):
    bright_lab.edit_world(remove_wire("midpoint.tagger.in4"))
    bright_lab.start_all()
    result = bright_lab.run("--heralds", "100")
    assert result["exit"] == 1
    sums = parties_agree(result)
    assert sums["heralded"] == sums["expired"] == 0
    assert set(result["reasons"]["midpoint"]["masked"]) == {"line_differs"}
    assert heralds_received(bright_lab, "alice") == 0


@pytest.mark.long
def test_a_line_that_does_not_reach_the_awg_leaves_the_branch_unplayed(bright_lab, remove_wire):
    bright_lab.edit_world(remove_wire("alice.awg.event"))
    bright_lab.start_all()
    result = bright_lab.run("--heralds", "300")
    assert result["exit"] == 0, result["stderr"]
    assert parties_agree(result)["heralded"] >= 300
    assert all(row.readout_counts == 0 for row in rows(bright_lab, "alice"))
    # Bob's branch is played: bright in (P01 + P11) / p = 0.71 of the Z rounds, half of the others.
    assert sum(row.readout_counts > 0 for row in rows(bright_lab, "bob")) > 100


def test_without_spin_pumping_bright_and_dark_are_one(bright_lab, remove_wire):
    """A spin that nobody pumps is bright half the time, flipped or not; see test_branch.py for what that heralds."""
    bright_lab.edit_world(remove_wire("alice.qubit.spin_pump"))
    bright_lab.start_all()
    found = re.search(
        r"alice does not tell .* \(F_bright ([0-9.]+), F_dark ([0-9.]+)\)", refusal(bright_lab, "alice")
    )
    assert found
    # 104 shots in each of 100 rounds. Nothing changes the spin of a round but the flips: it is bright (0.950) or dark
    # (0.005) in all shots of the first kind, so that there are 100 of those, and every other time in the second kind.
    assert agree((float(found[1]), 0.945 * 0.5 / 100**0.5), (0.950 + 0.005) / 2)
    assert agree((float(found[2]), 0.5 / 10_400**0.5), (0.995 + 0.050) / 2)


def test_without_bobs_optical_pulse_only_alices_photons_herald(bright_lab, remove_wire):
    bright_lab.edit_world(remove_wire("bob.qubit.optical_pulse"))
    bright_lab.start_all()
    result = bright_lab.run("--heralds", "900")
    assert result["exit"] == 0, result["stderr"]
    parties_agree(result)
    expected = SingleClick.of(efficiency("alice"), 0.0)
    assert agree(p_herald(result), expected.p)
    correlators = mean_correlators(result)
    assert agree(correlators["ZZ"], expected.zz)
    assert expected.zz == pytest.approx(-(1 - 2 * ALPHA), abs=1e-3)
    for name in ("XX", "YY"):
        assert agree(correlators[name], 0.0), name


def test_an_optical_pulse_that_is_5_ns_late_costs_visibility_and_share(lab):
    def delay(tree):
        tree["world"]["wire_delays_ns"] = {"bob.qubit.optical_pulse": 35}

    lab.edit(brighter)
    lab.edit(delay)
    done = lab.qnode("predict", str(lab.path), "--monte-carlo", "300000", "--json", "--data", str(lab.data))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["links"]["alice-bob"]
    # F7a: the window opens with alice's photon, bob's comes 5 ns later.
    late = np.exp(-5 / LIFETIME_NS) * share(5) / share()
    assert late == pytest.approx(0.617, abs=5e-4)
    assert (share(), share(5)) == pytest.approx((0.867, 0.801), abs=5e-4)
    expected = SingleClick.of(
        efficiency("alice"),
        efficiency("bob") * share(5) / share(),
        indistinguishability=INDISTINGUISHABILITY * late,
    )
    assert agree((found["p_herald_mc"], found["p_herald_mc_err"]), expected.p)
    assert agree((found["fidelity_mc"], found["fidelity_mc_err"]), expected.fidelity)
    for label, value in expected.populations.items():
        assert agree((found["populations_mc"][label], found["populations_mc_err"][label]), value), label
    # What the shift took is far more than the errors: nobody could mistake the one for the other.
    aligned = SingleClick.of(efficiency("alice"), efficiency("bob"))
    assert not agree((found["p_herald_mc"], found["p_herald_mc_err"]), aligned.p, standard_errors=10)
    assert not agree((found["fidelity_mc"], found["fidelity_mc_err"]), aligned.fidelity, standard_errors=10)


def test_without_the_round_trigger_an_awg_plays_nothing(bright_lab, remove_wire):
    bright_lab.edit_world(remove_wire("bob.awg.trigger"))
    bright_lab.start_all()
    assert "F_bright 0.000, F_dark 1.000" in refusal(bright_lab, "bob")


@pytest.mark.parametrize("end", [pytest.param("alice.tagger.in2", marks=pytest.mark.long), "alice.pulser.trigger"])
def test_without_pulse_per_second_or_round_sync_no_round_is_counted(bright_lab, remove_wire, end):
    """The pulser does not start without its pulse per second; without the sync nobody knows that it did."""
    bright_lab.edit_world(remove_wire(end))
    bright_lab.start_all()
    assert "no round sync at its tagger in any of 100 rounds" in refusal(bright_lab, "alice")


@pytest.mark.long
def test_a_node_without_the_pulse_per_second_at_its_tagger_does_not_get_ready(lab, remove_wire):
    lab.edit_world(remove_wire("alice.tagger.in4"))
    lab.start("simulators", "simulate", str(lab.world_path), "--speed", "max")
    with pytest.raises(AssertionError, match="no pulse per second at input 4 of its tagger"):
        lab.start("alice", "node", str(lab.path), "alice")
