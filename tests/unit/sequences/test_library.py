from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from drivers.roles import AwgProgram, PulseLimits, PulseProgram
from qnode.errors import MisuseError
from sequences import DecodedLine, Output, Wiring, compile, decode, ns
from sequences.library import (
    NodeRoundParameters,
    RoundTiming,
    heralding_node,
    midpoint_round,
    readout_calibration,
)

RABI_MHZ_PER_VOLT = 10.0


def lines_of(parameters: NodeRoundParameters) -> tuple[DecodedLine, ...]:
    round_ = heralding_node(parameters).round
    return decode(compile(round_, parameters.wiring, parameters.limits)["awg"])


def rotation(line: DecodedLine, start_ns: int, stop_ns: int) -> tuple[float, float]:
    """Angle and axis that the decoded I and Q turn the spin by between two moments, of a line decoded at 1 ns."""
    volt_us = [line.volts[ch].volts[start_ns:stop_ns].sum() * 1e-3 for ch in ("ch1", "ch2")]
    angle_rad = 2 * math.pi * RABI_MHZ_PER_VOLT * math.hypot(*volt_us)
    return angle_rad, math.atan2(volt_us[1], volt_us[0])


def centre_ns(line: DecodedLine, start_ns: int, stop_ns: int) -> float:
    """Centre of the microwave power between two moments."""
    power = line.volts["ch1"].volts[start_ns:stop_ns] ** 2 + line.volts["ch2"].volts[start_ns:stop_ns] ** 2
    return float((power * (np.arange(start_ns, stop_ns) + 0.5)).sum() / power.sum())


def state_of(label: str) -> np.ndarray:
    """A two-qubit Bell state psi+ or psi-, basis |00>, |01>, |10>, |11>."""
    return np.array([0, 1, 1 if label == "psi+" else -1, 0], complex) / math.sqrt(2)


def pulse_unitary(angle_rad: float, phase_rad: float) -> np.ndarray:
    """Rotation of one spin about cos(phase) X + sin(phase) Y, written out."""
    c, s = math.cos(angle_rad / 2), math.sin(angle_rad / 2)
    return np.array([[c, -1j * s * np.exp(-1j * phase_rad)], [-1j * s * np.exp(1j * phase_rad), c]])


HALF = math.sqrt(0.5)
OBSERVABLES = {
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.array([[1, 0], [0, -1]]),
    "D": np.array([[HALF, HALF], [HALF, -HALF]]),
    "E": np.array([[HALF, -HALF], [-HALF, -HALF]]),
}
"""Z|0> = |0>; D and E are (Z + X)/sqrt2 and (Z - X)/sqrt2."""


def read_by(branch: DecodedLine) -> np.ndarray:
    """The observable that a decoded branch reads in front of its first pulse: +1 for bright (1), -1 for dark (0)."""
    turn = np.eye(2)
    for start, stop in branch.edges_ps["ch2m2"] // 1000:
        turn = pulse_unitary(*rotation(branch, int(start), int(stop))) @ turn
    return turn.conj().T @ np.diag([-1, 1]) @ turn


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.5, 1.0])
def test_the_alpha_rotation_prepares_the_bright_population(parameters: NodeRoundParameters, alpha: float) -> None:
    attempt = lines_of(dataclasses.replace(parameters, alpha=alpha))[0]
    angle_rad, _ = rotation(attempt, 2_500, 2_600)
    assert math.cos(angle_rad / 2) ** 2 == pytest.approx(alpha, abs=1e-4)


def test_the_attempt(parameters: NodeRoundParameters) -> None:
    attempt = lines_of(parameters)[0]
    assert attempt.length_ps == 5_500 * ns
    assert attempt.loop_count == 250
    assert attempt.edges_ps["ch1m1"].tolist() == [[10_000, 2_000_000]]
    assert attempt.edges_ps["ch1m2"].tolist() == [[2_980_000, 3_022_000]]
    assert attempt.edges_ps["ch2m2"].tolist() == [[2_480_000, 2_620_000]]
    assert attempt.edges_ps["ch2m1"].size == 0
    optical = attempt.volts["ch3"].volts
    assert np.flatnonzero(optical).tolist() == [3000, 3001]
    assert optical[3000] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("period_ns", [3_500, 5_500, 9_000])
def test_the_echo_lies_in_the_middle(parameters: NodeRoundParameters, period_ns: int) -> None:
    timing = dataclasses.replace(parameters.timing, attempt_period_ps=period_ns * ns, round_period_ps=10**10)
    attempt, branch = lines_of(dataclasses.replace(parameters, timing=timing))[:2]
    alpha_ns = centre_ns(attempt, 0, period_ns)
    readout_ns = int(branch.edges_ps["ch2m1"][0, 0]) // 1000
    switched = branch.edges_ps["ch2m2"] // 1000
    (echo, basis) = (centre_ns(branch, int(start), int(stop)) for start, stop in switched)
    assert basis < readout_ns
    assert echo - (alpha_ns - period_ns) == pytest.approx(basis - echo, abs=1e-6)
    assert rotation(branch, *map(int, switched[0])) == pytest.approx((math.pi, 0.0), abs=1e-3)


def test_the_readout_follows_the_basis_rotation(parameters: NodeRoundParameters) -> None:
    for branch in lines_of(parameters)[1::2]:
        assert branch.length_ps == 14_000 * ns
        (readout,) = branch.edges_ps["ch2m1"].tolist()
        # Echo centre 150 ns; 3100 ns after the alpha rotation's centre and before the basis rotation's (3250 ns).
        assert readout == [3_400_000, 7_100_000]
        for channel in ("ch1", "ch2", "ch3"):
            assert not branch.volts[channel].volts[3_300:].any()


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("bell", ["psi+", "psi-"])
def test_signed_outcomes_are_the_correlators_of_the_herald(
    parameters: NodeRoundParameters, bell: str, echo: bool
) -> None:
    """Play the decoded branches on a Bell state: the signed raw outcomes give +-1, +-1, -1, and Paulis' own signs."""
    parameters = dataclasses.replace(parameters, echo=echo)
    node = heralding_node(parameters)
    for basis, branch in zip(node.bases, lines_of(parameters)[1::2], strict=True):
        outcome = node.signs[basis] * read_by(branch)
        assert outcome == pytest.approx(OBSERVABLES[basis], abs=2e-3)
        state = state_of(bell)
        correlator = (state.conj() @ np.kron(outcome, outcome) @ state).real
        expected = -1 if basis == "Z" else (1 if bell == "psi+" else -1)
        assert correlator == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("spacing_ps", [0, 500 * ns])
def test_the_settings_of_a_bell_test(parameters: NodeRoundParameters, spacing_ps: int, echo: bool) -> None:
    """Signed raw outcomes of the decoded branches are Z, X, D and E, and reach 2 sqrt2 on both heralded states."""
    timing = dataclasses.replace(
        parameters.timing, attempt_period_ps=10_000 * ns, branch_ps=19_000 * ns, round_period_ps=3_000_000 * ns
    )
    changed = dataclasses.replace(parameters, timing=timing, bases="DZEX", optical_spacing_ps=spacing_ps, echo=echo)
    node = heralding_node(changed)
    read = {
        basis: node.signs[basis] * read_by(branch)
        for basis, branch in zip(node.bases, lines_of(changed)[1::2], strict=True)
    }
    for basis, observable in read.items():
        assert observable == pytest.approx(OBSERVABLES[basis], abs=2e-3), basis
    plus, minus = state_of("psi+"), state_of("psi-")
    for state, terms in (
        (plus, {"ZD": -1, "ZE": -1, "XD": 1, "XE": -1}),
        (minus, {"ZD": -1, "ZE": -1, "XD": -1, "XE": 1}),
    ):
        values = [sign * (state.conj() @ np.kron(read[a], read[b]) @ state).real for (a, b), sign in terms.items()]
        assert values == pytest.approx([HALF] * 4, abs=2e-3)


def test_without_echo_only_the_echo_is_missing(parameters: NodeRoundParameters) -> None:
    with_echo = lines_of(parameters)
    without = lines_of(dataclasses.replace(parameters, echo=False))
    assert [line.length_ps for line in without] == [line.length_ps for line in with_echo]
    for line, reference in zip(without[1::2], with_echo[1::2], strict=True):
        assert not line.volts["ch1"].volts[:300].any()
        assert line.volts["ch1"].volts[300:].tolist() == reference.volts["ch1"].volts[300:].tolist()
        assert line.edges_ps["ch2m1"].tolist() == reference.edges_ps["ch2m1"].tolist()


def test_the_table_repeats_over_the_bases(parameters: NodeRoundParameters) -> None:
    program = compile(
        heralding_node(dataclasses.replace(parameters, bases="ZXXY")).round, parameters.wiring, parameters.limits
    )["awg"]
    assert isinstance(program, AwgProgram)
    assert len(program.elements) == 8
    attempts, branches = program.elements[0::2], program.elements[1::2]
    assert len({tuple(element.waveforms.values()) for element in attempts}) == 1
    assert branches[1].waveforms == branches[2].waveforms
    assert len({tuple(element.waveforms.values()) for element in branches}) == 3
    assert [line.go_to for line in decode(program)] == [3, 3, 5, 5, 7, 7, 1, 1]


def test_the_pulser_round(parameters: NodeRoundParameters) -> None:
    node = heralding_node(dataclasses.replace(parameters, repump_ps=20_000 * ns))
    program = compile(node.round, parameters.wiring, parameters.limits, runs=77)["pulser"]
    assert isinstance(program, PulseProgram)
    (line,) = decode(program)
    assert line.length_ps == 1_495_000 * ns
    assert line.loop_count == 77
    assert line.edges_ps["d2"].tolist() == [[5_000_000, 25_000_000]]
    assert line.edges_ps["d1"].tolist() == [[25_000_000, 104_000_000]]
    assert line.edges_ps["d0"].tolist() == [[105_010_000, 105_110_000]]
    assert node.trigger_edge_ps == 105_010_000


def test_what_the_daemon_must_know_of_time(parameters: NodeRoundParameters) -> None:
    """After the trigger's edge: 10 ns to the AWG, 30 ns on to the qubit; set-up of a jump 1304 ns."""
    node = heralding_node(parameters)
    assert node.optical_centre_ps == (10 + 30 + 3001) * ns
    assert node.attempt_end_ps == (10 + 30 + 5500) * ns
    # The light starts 5 us into the round and takes 50 ns to the qubit; the edge is at 105.01 us.
    assert node.charge_window_ps == ((5_000 + 50 - 105_010) * ns, (104_000 + 50 - 105_010) * ns)
    assert node.readout_window_ps == (3_400 * ns, 7_100 * ns)
    assert (node.herald_earliest_ps, node.herald_latest_ps) == (10 * ns, (10 + 5500 - 1304) * ns)


def test_an_empty_charge_slot_has_no_light(parameters: NodeRoundParameters) -> None:
    node = heralding_node(dataclasses.replace(parameters, timing=dataclasses.replace(parameters.timing, charge_ps=0)))
    assert node.charge_window_ps is None
    assert [pulse.signal for pulse in node.round.timeline.pulses] == ["round_trigger"]


def test_a_charge_slot_without_room_for_light_is_refused(parameters: NodeRoundParameters) -> None:
    with pytest.raises(MisuseError, match="longer than 101000000 ps"):
        heralding_node(dataclasses.replace(parameters, repump_ps=100_000 * ns))


def test_a_branch_that_does_not_fit_is_refused_with_the_smallest(parameters: NodeRoundParameters) -> None:
    timing = dataclasses.replace(parameters.timing, branch_ps=7_099 * ns)
    with pytest.raises(MisuseError, match="smallest legal branch is 7100000 ps"):
        heralding_node(dataclasses.replace(parameters, timing=timing))


def test_an_attempt_that_does_not_fit_is_refused_with_the_smallest(parameters: NodeRoundParameters) -> None:
    timing = dataclasses.replace(parameters.timing, attempt_period_ps=3_021 * ns)
    with pytest.raises(MisuseError, match="smallest legal attempt period is 3022000 ps"):
        heralding_node(dataclasses.replace(parameters, timing=timing))


@pytest.mark.parametrize(("changes", "text"), [
    ({"alpha": 0.0}, "bright-state population"),
    ({"alpha": 1.3}, "bright-state population"),
    ({"alpha": math.nan}, "bright-state population"),
    ({"bases": "XQ"}, "round 1 is to be read in basis 'Q'"),
    ({"bases": ""}, "without bases"),
])  # fmt: skip
def test_bad_parameters_are_refused(parameters: NodeRoundParameters, changes: dict[str, object], text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        heralding_node(dataclasses.replace(parameters, **changes))  # type: ignore[arg-type]


def test_slots_longer_than_the_period_are_refused(timing: RoundTiming) -> None:
    # 5 + 100 + 250 x 5.5 + 14 us
    with pytest.raises(MisuseError, match="smallest legal period is 1494000000 ps"):
        dataclasses.replace(timing, round_period_ps=1_493_999 * ns)
    with pytest.raises(MisuseError, match="below 0"):
        dataclasses.replace(timing, lead_ps=-1)


def test_readout_calibration(parameters: NodeRoundParameters) -> None:
    calibration = readout_calibration(parameters, 20)
    bright, dark = decode(compile(calibration.round, parameters.wiring, parameters.limits)["awg"])
    assert (bright.loop_count, bright.wait_for_trigger, bright.go_to) == (20, True, 2)
    assert (dark.loop_count, dark.wait_for_trigger, dark.go_to) == (20, False, 1)
    assert bright.edges_ps["ch1m1"].tolist() == dark.edges_ps["ch1m1"].tolist() == [[10_000, 2_000_000]]
    assert not bright.volts["ch1"].volts.any()
    assert rotation(dark, 2_500, 2_600) == pytest.approx((math.pi, 0.0), abs=1e-3)
    assert not bright.volts["ch3"].volts.any()
    for line, windows in ((bright, calibration.bright), (dark, calibration.dark)):
        assert (line.edges_ps["ch2m1"][0, 1] - line.edges_ps["ch2m1"][0, 0]) == windows.length_ps == 3_700 * ns
        assert windows.spacing_ps == line.length_ps
        assert windows.shots == 20
    assert calibration.bright.start_ps == (10 + 30) * ns + bright.edges_ps["ch2m1"][0, 0]
    assert calibration.dark.start_ps == calibration.bright.start_ps + 20 * bright.length_ps


def test_readout_calibration_fills_the_round(parameters: NodeRoundParameters) -> None:
    calibration = readout_calibration(parameters)
    # 250 x 5.5 us + 14 us of attempts and branch, two shots of 2.7 + 3.7 + 0.3 us at a time.
    assert calibration.bright.shots == 103
    with pytest.raises(MisuseError, match="ask for 1 to 103 shots"):
        readout_calibration(parameters, 104)


def test_midpoint_round(timing: RoundTiming, limits: dict[str, PulseLimits]) -> None:
    wiring = Wiring({
        "round_trigger": Output("pulser", "d0", "trigger", 5 * ns),
        "herald_gate": Output("pulser", "d1", "trigger", 10 * ns),
    })  # fmt: skip
    offsets_ps = [3_060 * ns, 8_560 * ns, 14_060_400]
    midpoint = midpoint_round(timing, wiring, limits, offsets_ps, 25 * ns)
    (line,) = decode(compile(midpoint.round, wiring, limits)["pulser"])
    assert line.length_ps == timing.round_period_ps
    ((edge_ps, _),) = line.edges_ps["d0"].tolist()
    assert edge_ps == midpoint.trigger_edge_ps
    gates_ps = line.edges_ps["d1"]
    assert (gates_ps[:, 1] - gates_ps[:, 0]).tolist() == [25 * ns] * 3
    # At the herald logic, 10 ns behind the output; the third is asked for between two ticks.
    opened = (gates_ps[:, 0] + 10 * ns - edge_ps).tolist()
    assert opened == [3_060 * ns, 8_560 * ns, 14_060 * ns] == list(midpoint.gates_ps)


# --- double click ---------------------------------------------------------------------------------------------------


@pytest.fixture
def double(parameters: NodeRoundParameters) -> NodeRoundParameters:
    timing = dataclasses.replace(
        parameters.timing, attempt_period_ps=10_000 * ns, branch_ps=19_000 * ns, round_period_ps=3_000_000 * ns
    )
    return dataclasses.replace(parameters, timing=timing, alpha=0.5, optical_spacing_ps=500 * ns)


def test_the_attempt_of_double_click(double: NodeRoundParameters) -> None:
    attempt = lines_of(double)[0]
    assert attempt.length_ps == 10_000 * ns
    assert attempt.edges_ps["ch1m1"].tolist() == [[10_000, 2_000_000]]
    assert attempt.edges_ps["ch1m2"].tolist() == [[2_980_000, 3_022_000], [3_480_000, 3_522_000]]
    assert attempt.edges_ps["ch2m2"].tolist() == [[2_480_000, 2_620_000], [3_180_000, 3_320_000]]
    assert np.flatnonzero(attempt.volts["ch3"].volts).tolist() == [3000, 3001, 3500, 3501]
    assert rotation(attempt, 2_500, 2_600) == pytest.approx((math.pi / 2, 0.0), abs=1e-3)
    assert rotation(attempt, 3_200, 3_300) == pytest.approx((math.pi, 0.0), abs=1e-3)
    # In the middle between the two optical pulses' centres, 3001 and 3501.
    assert centre_ns(attempt, 3_100, 3_400) == pytest.approx(3_250, abs=1.5)


def test_both_optical_centres(double: NodeRoundParameters) -> None:
    node = heralding_node(double)
    assert node.optical_centres_ps == ((10 + 30 + 3001) * ns, (10 + 30 + 3501) * ns)
    assert node.optical_centre_ps == (10 + 30 + 3001) * ns
    assert node.herald_latest_ps == (10 + 10_000 - 1304) * ns


@pytest.mark.parametrize(("period_ns", "spacing_ns"), [(10_000, 500), (7_000, 500), (10_000, 184), (12_000, 1_200)])
def test_double_click_refocuses_a_detuning(double: NodeRoundParameters, period_ns: int, spacing_ns: int) -> None:
    """Play attempt and X branch on a pumped spin, with and without a detuning: no phase is left at the rotation."""
    timing = dataclasses.replace(double.timing, attempt_period_ps=period_ns * ns, round_period_ps=10**10)
    changed = dataclasses.replace(double, timing=timing, optical_spacing_ps=spacing_ns * ns)
    attempt, branch = lines_of(changed)[:2]
    assert changed.bases[0] == "X"
    kicks = []
    for line, start_ns in ((attempt, 0), (branch, period_ns)):
        for opens, closes in line.edges_ps["ch2m2"] // 1000:
            span = int(opens), int(closes)
            kicks.append((start_ns + centre_ns(line, *span), rotation(line, *span)))
    assert len(kicks) == 4

    def bright_at_the_end(detuning_mhz: float, wait_more_ns: float = 0.0) -> float:
        spin, now = np.array([0, 1], complex), kicks[0][0]
        for number, (at_ns, turn) in enumerate(kicks):
            wait_ns = at_ns - now + (wait_more_ns if number == 3 else 0.0)
            phase = math.pi * detuning_mhz * wait_ns * 1e-3
            spin = pulse_unitary(*turn) @ (np.array([np.exp(-1j * phase), np.exp(1j * phase)]) * spin)
            now = at_ns
        return float(abs(spin[1]) ** 2)

    on_resonance = bright_at_the_end(0.0)
    for detuning_mhz in (0.05, 0.2, -0.13):
        assert bright_at_the_end(detuning_mhz) == pytest.approx(on_resonance, abs=1e-3)
    # Rotated half a microsecond later, 0.5 MHz would have turned the phase by a quarter.
    assert abs(bright_at_the_end(0.5, 500.0) - on_resonance) > 0.4


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize(("bell", "detectors"), [("psi+", ("a", "a")), ("psi-", ("a", "b")), ("psi+", ("b", "b"))])
def test_double_click_played_from_the_pump_to_the_readout(
    double: NodeRoundParameters, bell: str, detectors: tuple[str, str], echo: bool
) -> None:
    """Two pumped spins, the decoded attempt with a click in each window, the decoded branch: correlators of the herald.

    A click of detector a adds the amplitudes of a photon from either node, detector b subtracts them; a bright spin
    emits one, a dark one none, and exactly one is seen in each window.
    """
    double = dataclasses.replace(double, echo=echo)
    node, lines = heralding_node(double), lines_of(double)
    flips = [pulse_unitary(*rotation(lines[0], *span)) for span in ((2_480, 2_620), (3_180, 3_320))]
    bright, dark = np.diag([0, 1]), np.diag([1, 0])
    state = np.array([0, 0, 0, 1], complex)
    for flip, detector in zip(flips, detectors, strict=True):
        seen = np.kron(bright, dark) + (1 if detector == "a" else -1) * np.kron(dark, bright)
        state = seen @ np.kron(flip, flip) @ state
    assert np.linalg.norm(state) ** 2 == pytest.approx(0.5, abs=1e-3)
    state /= np.linalg.norm(state)
    assert abs(state_of(bell).conj() @ state) == pytest.approx(1, abs=1e-3)
    for basis, branch in zip(node.bases, lines[1::2], strict=True):
        outcome = node.signs[basis] * read_by(branch)
        correlator = (state.conj() @ np.kron(outcome, outcome) @ state).real
        expected = -1 if basis == "Z" else (1 if bell == "psi+" else -1)
        assert correlator == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("spacing_ns", [182, 185, 100])
def test_optical_pulses_without_room_for_the_microwave_pi_are_refused(
    double: NodeRoundParameters, spacing_ns: int
) -> None:
    with pytest.raises(MisuseError, match=f"{spacing_ns}000 ps apart leave no place") as caught:
        heralding_node(dataclasses.replace(double, optical_spacing_ps=spacing_ns * ns))
    assert caught.value.hint == "give at least 184000 ps, an even number of nanoseconds"


def test_an_attempt_too_short_for_the_second_pulse_is_refused_with_the_smallest(double: NodeRoundParameters) -> None:
    timing = dataclasses.replace(double.timing, attempt_period_ps=3_521 * ns)
    with pytest.raises(MisuseError, match="smallest legal attempt period is 3522000 ps"):
        heralding_node(dataclasses.replace(double, timing=timing))
