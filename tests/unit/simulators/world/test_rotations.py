"""Driven two-level systems beside their closed forms and a step-by-step integration."""

from __future__ import annotations

from math import cos, pi, sin, sqrt

import numpy as np
import pytest

from simulators.world.rotations import detuned, excited_rad, resonant

X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1.0, -1.0]).astype(complex)


def integrated(angles: np.ndarray, turn: float, steps: int = 400) -> np.ndarray:
    """Schroedinger's equation by Taylor steps of fourth order; rho[0, 1] turns by +turn a sample."""
    unitary = np.eye(2, dtype=complex)
    for angle in angles:
        generator = -0.5j * (angle.real * X + angle.imag * Y - turn * Z) / steps
        step = sum(np.linalg.matrix_power(generator, n) / f for n, f in enumerate((1, 1, 2, 6, 24)))
        unitary = np.linalg.matrix_power(step, steps) @ unitary
    return unitary


def free(turn: float) -> np.ndarray:
    """The coherence rho[0, 1] turns by an angle."""
    return np.diag([np.exp(0.5j * turn), np.exp(-0.5j * turn)])


@pytest.mark.parametrize(("rabi_mhz", "detuning_mhz"), [(10.0, 0.0), (10.0, 5.0), (10.0, -30.0), (0.5, 5.0)])
def test_detuned_rabi_oscillation(rabi_mhz: float, detuning_mhz: float) -> None:
    # 50 samples of 1 ns: P = W^2 / (W^2 + D^2) sin^2(sqrt(W^2 + D^2) t / 2).
    angles = np.full(50, 2 * pi * rabi_mhz * 1e-3, dtype=complex)
    unitary = detuned(angles, 2 * pi * detuning_mhz * 1e-3, 25.0)
    whole = sqrt(rabi_mhz**2 + detuning_mhz**2)
    expected = (rabi_mhz / whole) ** 2 * sin(pi * whole * 0.050) ** 2
    assert abs(unitary[0, 1]) ** 2 == pytest.approx(expected, abs=1e-12)
    assert excited_rad(angles.real, 2 * pi * detuning_mhz * 1e-3) == pytest.approx(
        2 * np.arcsin(sqrt(expected)), abs=1e-9
    )


def test_with_its_free_turns_a_detuned_pulse_is_the_exact_evolution() -> None:
    t = np.arange(40) + 0.5
    angles = 0.09 * np.exp(-0.5 * ((t - 17) / 8) ** 2) * np.exp(0.05j * t)
    turn, centre = 0.07, 16.3
    unitary = free((40 - centre) * turn) @ detuned(angles, turn, centre) @ free(centre * turn)
    assert unitary == pytest.approx(integrated(angles, turn), abs=1e-9)


def test_without_detuning_both_ways_agree() -> None:
    angles = 0.1 * np.exp(1j * np.linspace(0, 2, 30))
    assert detuned(angles, 0.0, 15.0) == pytest.approx(resonant(angles), abs=1e-12)


def test_a_scan_is_an_average_over_its_detunings() -> None:
    angles, turn, scan = np.full(20, pi / 20), 0.1, 0.6
    chances = [abs(integrated(angles.astype(complex), turn + d, 50)[1, 0]) ** 2 for d in np.linspace(-0.3, 0.3, 301)]
    assert sin(excited_rad(angles, turn, scan) / 2) ** 2 == pytest.approx(np.mean(chances), abs=4e-3)
    assert cos(excited_rad(angles, 0.0)) == pytest.approx(-1.0)
