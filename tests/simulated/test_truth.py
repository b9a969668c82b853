"""Nothing reads the answers: the stack does not see `world:`, and what is changed there shows in what it measures."""

import math

import numpy as np
import pytest
from _bench import SingleClick, agree, brighter, efficiency, parties_agree

TURN = 1.1
"""The true Rabi frequency over the one that the stack's calibration says."""
X = np.array([[0, 1], [1, 0]], complex)
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1.0 + 0j, -1.0])
"""Order of the basis: dark, bright."""


def test_daemons_without_the_world_in_their_lab_file_do_the_same_run(lab):
    options = ("--heralds", "300")
    lab.edit(brighter)
    whole = lab.run(*options, "--speed", "max", "--seed", "5")
    assert whole["exit"] == 0, whole["stderr"]

    lab.edit_world(lambda tree: tree["world"].update(seed=5))
    lab.edit(lambda tree: tree.pop("world"))
    assert not any(line.startswith("world:") for line in lab.path.read_text().splitlines())
    lab.start_all()
    cut = lab.run(*options)
    assert cut["exit"] == 0, cut["stderr"]
    assert cut["heralds"] == whole["heralds"] >= 300
    assert cut["heralds_sha256"] == whole["heralds_sha256"]
    for name in ("p_herald", "fidelity", "accounting", "readout"):
        assert cut[name] == whole[name], name


def rotation(theta, phase=0.0):
    axis = math.cos(phase) * X + math.sin(phase) * Y
    return math.cos(theta / 2) * np.eye(2) - 1j * math.sin(theta / 2) * axis


def raw_outcome(basis):
    """The operator of a node's raw outcome (bright +1, dark -1), on the spin right after its alpha rotation.

    3.1 us of free evolution, echo, 3.1 us, basis rotation; each turn is `TURN` of what was asked. The detuning is
    quasi-static and Gaussian with a coherence of exp(-(t/T2*)^2), T2* = 5 us: standard deviation sqrt(2)/T2*.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    phases = nodes * math.sqrt(2) / 5.0 * 3.1
    total = np.zeros((2, 2), complex)
    for phase, weight in zip(phases, weights / weights.sum(), strict=True):
        idle = np.diag([np.exp(0.5j * phase), np.exp(-0.5j * phase)])
        turn = {"X": rotation(TURN * math.pi / 2, math.pi / 2), "Y": rotation(TURN * math.pi / 2, math.pi)}
        played = turn.get(basis, np.eye(2)) @ idle @ rotation(TURN * math.pi) @ idle
        total += weight * (played.conj().T @ -Z @ played)
    return total


def reported(rho, basis):
    """The correlator that the stack would report of a two-qubit state (dark-dark, dark-bright, ...) in a basis.

    It corrects with the fidelities that it measured itself, and its flip to dark is 1.1 pi, too.
    """
    f_bright, f_dark = 0.950, 0.995
    flipped = math.sin(TURN * math.pi / 2) ** 2
    measured_dark = flipped * f_dark + (1 - flipped) * (1 - f_bright)
    one = (f_bright + f_dark - 1) * raw_outcome(basis) + (f_bright - f_dark) * np.eye(2)
    corrected = (one - (f_bright - measured_dark) * np.eye(2)) / (f_bright + measured_dark - 1)
    return float(np.trace(rho @ np.kron(corrected, corrected)).real)


@pytest.mark.parametrize("by", [pytest.param("rabi frequency", marks=pytest.mark.long), "carrier"])
def test_rotations_that_are_10_percent_off_move_all_correlators_as_the_angles_say(lab, by):
    def faster(tree):
        for node in ("alice", "bob"):
            if by == "carrier":
                tree["world"]["nodes"][node]["microwave"] = {"carrier_dbm": 15 - 20 * math.log10(TURN)}
            else:
                tree["world"]["nodes"][node]["spin"]["rabi_mhz_per_volt"] = 10 * TURN

    lab.edit(brighter)
    lab.edit_world(faster)
    lab.start_all()
    result = lab.run("--heralds", "6000")
    assert result["exit"] == 0, result["stderr"]
    parties_agree(result)

    alpha = math.cos(TURN * math.acos(math.sqrt(0.30))) ** 2
    link = SingleClick.of(efficiency("alice"), efficiency("bob"), alpha, alpha)
    as_believed = SingleClick.of(efficiency("alice"), efficiency("bob"))
    assert agree((result["p_herald"], result["p_herald_err"]), link.p)
    assert not agree((result["p_herald"], result["p_herald_err"]), as_believed.p, standard_errors=6)
    fidelity = 0.0
    for bell, sign in (("psi+", 1), ("psi-", -1)):
        rho = np.diag([link.p00, link.p01, link.p10, link.p11]).astype(complex)
        rho[1, 2] = rho[2, 1] = sign * link.coherence
        rho /= link.p
        expected = {2 * basis: reported(rho, basis) for basis in "XYZ"}
        found = result["bell_states"][bell]["correlators"]
        for name, value in expected.items():
            assert agree((found[name]["value"], found[name]["error"]), value), (bell, name)
        share = result["bell_states"][bell]["heralds"] / result["heralds"]
        fidelity += share * (1 - expected["ZZ"] + sign * (expected["XX"] + expected["YY"])) / 4
    assert agree((result["fidelity"], result["fidelity_err"]), fidelity)
    assert not agree((result["fidelity"], result["fidelity_err"]), as_believed.fidelity)


def test_simulators_do_not_read_what_is_intended_or_believed(lab):
    """Links and calibration of the simulators' file are all wrong: the same heralds, bit for bit."""
    options = ("--heralds", "300")
    lab.edit(brighter)
    lab.edit(lambda tree: tree["world"].update(seed=5))
    true = lab.run(*options, "--speed", "max")
    assert true["exit"] == 0, true["stderr"]

    def lie(tree):
        (link,) = tree["links"]
        link.update(bright_state={"alice": 0.8, "bob": 0.9}, detection_window_ns=60, attempt_period_us=7)
        link["round"].update(attempts=99, branch_us=40)
        for node in ("alice", "bob"):
            believed = tree["calibration"]["nodes"][node]
            believed["microwave_rabi_mhz_per_volt"]["value"] = 3.0
            believed["optical_pi_volt"]["value"] = 0.1
            believed["readout_threshold"]["value"] = 7
        tree["calibration"]["links"]["alice-bob"]["psi_plus_on"]["value"] = "det2"

    lab.edit_world(lie)
    lab.start_all()
    lied = lab.run(*options)
    assert lied["exit"] == 0, lied["stderr"]
    assert lied["heralds"] == true["heralds"] >= 300
    assert lied["heralds_sha256"] == true["heralds_sha256"]
