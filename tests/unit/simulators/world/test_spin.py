"""Readout operators (followed backwards) against closed forms, and against states carried forwards one by one."""

from __future__ import annotations

from math import exp, pi, sqrt

import numpy as np
import pytest

from qnode.labfile import Spin
from simulators.world.rack import Excitation, Light, Rotation, Waveform
from simulators.world.spin import SpinModel
from simulators.world.states import rotation

NS, US = 1_000, 1_000_000


def spin(**what: float) -> Spin:
    numbers = {"rabi_mhz_per_volt": 10, "t1_s": 3600, "t2_star_us": 5, "t2_s": 1.46}
    return Spin(**{**numbers, "readout_fidelity_bright": 0.95, "readout_fidelity_dark": 0.995, **what})


def turn(at_ps: int, angle: float, phase: float = 0.0) -> Rotation:
    return Rotation(at_ps, rotation(angle, phase))


BRIGHT = np.diag([0.0, 1.0]).astype(complex)


def expectation(operator: np.ndarray, state: np.ndarray) -> float:
    return float(np.trace(operator @ state).real)


def test_ramsey_fringe_falls_as_exp_of_minus_t_over_t2_star_squared() -> None:
    model = SpinModel(spin())
    for wait_us in (0.0, 2.0, 5.0, 9.0):
        operations = [turn(0, pi / 2), turn(round(wait_us * US), pi / 2)]
        operator = model.bright_operator(operations, round((wait_us + 0.1) * US))
        # Two quarter turns: dark without dephasing, 1/2 with full dephasing.
        expected = (1 - exp(-((wait_us / 5.0) ** 2))) / 2
        assert expectation(operator, BRIGHT) == pytest.approx(expected, abs=1e-6)


def test_an_echo_brings_it_back_up_to_t2() -> None:
    model = SpinModel(spin(t2_s=1e-4))
    operations = [turn(0, pi / 2), turn(20 * US, pi), turn(40 * US, pi / 2)]
    operator = model.bright_operator(operations, 40 * US)
    # Quarter + half + quarter is a full turn: bright again, with contrast exp(-40/100).
    assert expectation(operator, BRIGHT) == pytest.approx((1 + exp(-0.4)) / 2, abs=1e-6)


def test_the_detuning_before_the_pulse_counts_for_the_echo() -> None:
    model = SpinModel(spin())
    waveform = Waveform(
        "x", 5_500, 1e9, (Light(0, 2 * US, "spin_pump"), turn(2_550 * NS, pi / 2), Excitation(3 * US, pi)), 0.0
    )
    state, before_ps = model.before_pulse(waveform)
    assert before_ps == 450 * NS
    # Echo placed as far from the pulse as to be 450 ns late: all in all it refocuses.
    good = model.bright_operator([turn(4 * US, pi), turn(8_450 * NS, pi / 2)], 9 * US, before_ps)
    blind = model.bright_operator([turn(4 * US, pi), turn(8_450 * NS, pi / 2)], 9 * US)
    assert expectation(good, state) == pytest.approx(1.0, abs=1e-5)
    assert expectation(blind, state) == pytest.approx((1 + exp(-((0.45 / 5) ** 2))) / 2, abs=1e-5)


@pytest.mark.parametrize("light_ns", [0, 100, 300])
def test_pumping_takes_its_time(light_ns: int) -> None:
    model = SpinModel(spin())
    operations = (Light(0, light_ns * NS, "spin_pump"),) if light_ns else ()
    state, _ = model.before_pulse(Waveform("x", 5_500, 1e9, (*operations, Excitation(3 * US, pi)), 0.0))
    assert state[1, 1].real == pytest.approx(1 - exp(-light_ns / 100) / 2)
    dark = SpinModel(spin(pumped_state="dark"))  # type: ignore[arg-type]
    state, _ = dark.before_pulse(Waveform("x", 5_500, 1e9, (*operations, Excitation(3 * US, pi)), 0.0))
    assert state[0, 0].real == pytest.approx(1 - exp(-light_ns / 100) / 2)


def test_backwards_equals_forwards_with_drawn_detunings() -> None:
    numbers = spin(t1_s=2e-4, t2_s=1e-4)
    model = SpinModel(numbers)
    generator = np.random.default_rng(2)
    operations = [turn(1 * US, 1.1, 0.3), turn(4 * US, 2.0, -1.2), turn(7 * US, 0.7, 2.0)]
    detunings = generator.normal(0.0, sqrt(2) / 5e-6, 20_000)
    start = np.array([[0.4, 0.2 - 0.3j], [0.2 + 0.3j, 0.6]])
    rho = np.broadcast_to(start, (detunings.size, 2, 2)).copy()
    last = 0
    for operation in [*operations, turn(9 * US, 0.0)]:
        seconds = (operation.at_ps - last) * 1e-12
        last = operation.at_ps
        kept = exp(-seconds / 2e-4)
        rho[:, 0, 0] = 0.5 + (rho[:, 0, 0] - 0.5) * kept
        rho[:, 1, 1] = 1 - rho[:, 0, 0]
        rho[:, 0, 1] *= exp(-seconds / 1e-4) * np.exp(1j * detunings * seconds)
        rho[:, 1, 0] = rho[:, 0, 1].conj()
        rho = operation.unitary @ rho @ operation.unitary.conj().T
    forwards = rho[:, 1, 1].real
    error = forwards.std() / sqrt(forwards.size)
    assert abs(expectation(model.bright_operator(operations, 9 * US), start) - forwards.mean()) < 3.5 * error


# --- two optical pulses --------------------------------------------------------------------------------------------


def pumped(*operations: Rotation | Excitation | Light) -> list[Rotation | Excitation | Light]:
    return [Light(-100 * US, 0, "spin_pump"), *operations]


@pytest.mark.parametrize(("after_us", "frame_us"), [(1.0, 0.0), (4.0, 0.0), (6.0, -5.0), (0.0, 1.0)])
def test_the_rotation_in_between_turns_the_detuning_back(after_us: float, frame_us: float) -> None:
    model = SpinModel(spin())
    operations = pumped(turn(0, pi / 2), turn(US, pi))
    found = model.histories(operations, (None, None), round((1 + after_us) * US), round(frame_us * US))
    rho = found[0, 0, 0, 0]
    # One microsecond before the pi, the rest after it.
    left_us = after_us + frame_us - 1
    assert abs(rho[0, 1]) == pytest.approx(0.5 * exp(-((left_us / 5) ** 2)), rel=1e-5)
    assert np.abs(found).sum() == pytest.approx(np.abs(rho).sum(), abs=1e-12)


def test_photon_numbers_of_two_pulses() -> None:
    model = SpinModel(spin())
    alpha, angle = 0.3, 2.0
    theta = 2 * np.arccos(sqrt(alpha))
    operations = pumped(turn(0, theta), Excitation(0, angle), turn(0, pi), Excitation(0, pi))
    found = model.histories(operations, (0, 1), 0)
    photons = np.einsum("aabbii->ab", found).real
    # The first pulse finds alpha bright, the second one what was dark before the pi.
    first = alpha * np.sin(angle / 2) ** 2
    assert photons == pytest.approx(np.array([[alpha - first, 1 - alpha], [first, 0]]), abs=1e-4)
    # The spin is where the pi has put it, and knows the photons.
    assert found[1, 1, 0, 0] == pytest.approx(np.diag([first, 0]), abs=1e-4)
    assert abs(found[1, 0, 0, 1][0, 1]) == pytest.approx(sqrt(first * (1 - alpha)), abs=1e-4)


def test_light_that_nobody_sees_tells_of_the_spin() -> None:
    model = SpinModel(spin())
    operations = pumped(turn(0, pi / 2), Excitation(0, 2.0), Excitation(0, 1.0))
    seen = model.histories(operations, (1, None), 0)
    assert np.abs(seen[:, :, 1, 1]).max() == 0
    rho = np.einsum("aabbij->ij", seen)
    # Coherence of bright and dark: cos(theta / 2) of each pulse, seen or not.
    assert abs(rho[0, 1]) == pytest.approx(0.5 * np.cos(1.0) * np.cos(0.5), rel=1e-4)
    assert np.trace(rho) == pytest.approx(1)


def test_pump_light_forgets_and_readout_light_dephases() -> None:
    model = SpinModel(spin())
    half = pumped(turn(0, pi / 2), Excitation(0, pi))
    again = [*half, Light(0, 100 * US, "spin_pump")]
    found = model.histories(again, (0, None), 100 * US)
    assert found[0, 0, 0, 0] == pytest.approx(np.diag([0, 0.5]), abs=1e-6)
    assert found[1, 1, 0, 0] == pytest.approx(np.diag([0, 0.5]), abs=1e-6)
    read = model.histories([*pumped(turn(0, pi / 2)), Light(0, NS, "readout_light")], (None, None), NS)[0, 0, 0, 0]
    assert read == pytest.approx(np.diag([0.5, 0.5]), abs=1e-6)
