"""What a hand at the rack changes while everything is up: a stranger's socket, at a moment when lab time is held.

Each test stops lab time, changes one setting at an AWG through its own socket, and lets the run go on: the rounds
before and after differ by that setting alone.
"""

import json
import math

import pytest
from _bench import (
    ALPHA,
    Awg,
    SingleClick,
    agree,
    brighter,
    efficiency,
    mean_correlators,
    parties_agree,
    rows,
    run_in_hand,
)


@pytest.fixture
def bright_lab(lab):
    lab.edit(brighter)
    return lab


@pytest.fixture
def expected():
    return SingleClick.of(efficiency("alice"), efficiency("bob"))


def share_of(flags):
    """Share of true values, with the error of a coin at 1/2: never too small."""
    flags = list(flags)
    assert len(flags) > 30
    return sum(flags) / len(flags), 0.5 / math.sqrt(len(flags))


def test_an_awg_output_that_is_off_is_dark_and_one_without_its_trigger_too(bright_lab):
    """Alice's channel 1 carries spin pump and excitation gate; then bob's trigger level is above his pulser's."""
    bright_lab.start_all()
    with run_in_hand(bright_lab, 1200) as run:
        run.run_to_round(400)
        with Awg(bright_lab, "alice") as awg:
            awg.write(":OUTP1 0")
        run.run_to_round(900)
        with Awg(bright_lab, "bob") as awg:
            awg.write(":TRIG:LEV 4")
        result = run.finish()
    assert result["exit"] == 0, result["stderr"]
    parties_agree(result)
    bob = [row for row in rows(bright_lab, "bob") if row.basis == "Z"]
    # After the echo bright is seen where the emitter was dark: bob's own photon leaves no doubt of him.
    before = SingleClick.of(efficiency("alice"), efficiency("bob")).populations
    assert agree(share_of(row.bright for row in bob if row.round < 399), 0.95 * (before["00"] + before["10"]))
    alone = [row for row in bob if 401 <= row.round < 899]
    assert sum(row.bright for row in alone) <= 0.05 * len(alone)
    assert len(alone) > 100
    # Then nothing but dark counts: 2.5e-4 a round.
    assert sum(row.round > 900 for row in rows(bright_lab, "bob")) <= 2


def test_without_the_spin_pumps_marker_nothing_is_known_of_the_spin(bright_lab):
    """Half bright before the pulse, whatever the microwave does to it, and no coherence at all."""
    bright_lab.start_all()
    with run_in_hand(bright_lab, 1500) as run:
        with Awg(bright_lab, "alice") as awg:
            awg.write(":SOUR1:MARK1:VOLT:LEV:IMM:HIGH 0.5")
        result = run.finish()
    assert result["exit"] == 0, result["stderr"]
    parties_agree(result)
    expected = SingleClick.of(efficiency("alice"), efficiency("bob"), alpha_a=0.5, coherence_a=0.0)
    pumped = SingleClick.of(efficiency("alice"), efficiency("bob"))
    assert agree((result["p_herald"], result["p_herald_err"]), expected.p)
    assert not agree((result["p_herald"], result["p_herald_err"]), pumped.p)
    correlators = mean_correlators(result)
    assert agree(correlators["ZZ"], expected.zz)
    for name in ("XX", "YY"):
        assert agree(correlators[name], 0.0), name


def test_without_a_jump_there_is_no_branch_and_no_readout(bright_lab):
    """Event level above the line's at alice; jump targets off at bob."""
    bright_lab.start_all()
    with run_in_hand(bright_lab, 500) as run:
        run.run_to_round(200)
        with Awg(bright_lab, "alice") as awg:
            awg.write(":EVEN:LEV 5")
        run.run_to_round(350)
        with Awg(bright_lab, "bob") as awg:
            awg.write(*(f":SEQ:ELEM{line}:JTAR:TYPE OFF" for line in (1, 3, 5)))
        result = run.finish()
    assert result["exit"] == 0, result["stderr"]
    parties_agree(result)
    for node, changed in (("alice", 200), ("bob", 350)):
        played = rows(bright_lab, node)
        before = [row for row in played if row.round < changed - 1]
        after = [row for row in played if row.round > changed]
        assert sum(row.readout_counts > 0 for row in before) > 0.3 * len(before) > 30, node
        assert len(after) > 50
        assert all(row.readout_counts == 0 for row in after), node


def test_exchanged_branch_waveforms_exchange_the_correlators(bright_lab, expected):
    """Lines 2, 4, 6 hold the branches of rounds in X, Y, Z; X and Z are exchanged after the read-back."""
    bright_lab.start_all()
    with run_in_hand(bright_lab, 1800) as run:
        for node in ("alice", "bob"):
            with Awg(bright_lab, node) as awg:
                for channel in (1, 2, 3):
                    first, third = (awg.ask(f":SEQ:ELEM{line}:WAV{channel}?") for line in (2, 6))
                    awg.write(f":SEQ:ELEM2:WAV{channel} {third}", f":SEQ:ELEM6:WAV{channel} {first}")
        result = run.finish()
    assert result["exit"] == 0, result["stderr"]
    parties_agree(result)
    correlators = {
        bell: {name: (c["value"], c["error"]) for name, c in estimate["correlators"].items()}
        for bell, estimate in result["bell_states"].items()
    }
    for bell, sign in (("psi+", 1), ("psi-", -1)):
        assert agree(correlators[bell]["XX"], expected.zz), bell
        assert agree(correlators[bell]["YY"], sign * expected.xx), bell
        assert agree(correlators[bell]["ZZ"], sign * expected.xx), bell


def test_without_the_echo_xx_and_yy_are_lost_and_zz_stays(bright_lab, expected):
    result = bright_lab.run("--heralds", "1500", "--speed", "max", "--seed", "3", "--no-echo")
    assert result["exit"] == 0, result["stderr"]
    correlators = mean_correlators(result)
    # 2 x 3.1 us of free evolution from the alpha rotation to the basis rotation, T2* = 5 us, at both nodes.
    kept = math.exp(-((6.2 / 5) ** 2)) ** 2
    assert kept < 0.05
    for name in ("XX", "YY"):
        assert agree(correlators[name], expected.xx * kept), name
        assert not agree(correlators[name], expected.xx, standard_errors=6), name
    assert agree(correlators["ZZ"], expected.zz)


@pytest.mark.parametrize(
    "scale", [1e-6, 1.3, *(pytest.param(scale, marks=pytest.mark.long) for scale in (0.5, 0.8, 1.0))]
)
def test_the_microwave_amplitude_sets_the_bright_population(lab, scale):
    """From a bright start alpha = cos^2(theta/2); the rotation asked for is 113.6 deg."""
    theta = scale * 2 * math.acos(math.sqrt(ALPHA))
    alpha = math.cos(theta / 2) ** 2

    def weaker(tree):
        for node in ("alice", "bob"):
            tree["world"]["nodes"][node]["spin"]["rabi_mhz_per_volt"] = 10 * scale

    lab.edit(brighter)
    lab.edit(weaker)
    done = lab.qnode("predict", str(lab.path), "--monte-carlo", "60000", "--json", "--data", str(lab.data))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["links"]["alice-bob"]
    wanted = SingleClick.of(efficiency("alice"), efficiency("bob"), alpha, alpha)
    assert agree((found["p_herald_mc"], found["p_herald_mc_err"]), wanted.p)
    for label, value in wanted.populations.items():
        assert agree((found["populations_mc"][label], found["populations_mc_err"][label]), value), label
