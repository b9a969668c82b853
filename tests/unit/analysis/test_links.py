from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qnode.analysis import (
    dark_probability,
    double_click,
    fibre_transmission,
    overlap_in_window,
    share_in_window,
    single_click,
)
from qnode.errors import MisuseError

Polynomial = dict[tuple[int, ...], complex]
"""Creation operators: occupation of the modes to coefficient."""

# Modes of the oracle: detector 1 and 2, each in two orthogonal wave packets, and the loss of each arm.
D1U, D1V, D2U, D2V, LOSS_A, LOSS_B_U, LOSS_B_V = range(7)


def times(one: Polynomial, other: Polynomial) -> Polynomial:
    product: dict[tuple[int, ...], complex] = defaultdict(complex)
    for (n, x), (m, y) in itertools.product(one.items(), other.items()):
        product[tuple(i + j for i, j in zip(n, m, strict=True))] += x * y
    return product


def photon(amplitudes: dict[int, complex]) -> Polynomial:
    return {tuple(int(k == mode) for k in range(7)): a for mode, a in amplitudes.items()}


def fock_oracle(
    alphas: tuple[float, float],
    etas: tuple[float, float],
    dark: float,
    visibility: float,
    phase_rms_rad: float,
    p2: tuple[float, float],
    detector: int,
) -> np.ndarray:
    """Unnormalised two-qubit state after a click of one detector alone, by brute force in Fock space.

    Emitters in sqrt(alpha)|1>|photon> + sqrt(1-alpha)|0>|no photon>; loss and the 50:50 beam splitter as linear maps
    of creation operators; the second photon's packet has an overlap sqrt(V) with the first one's; threshold detectors
    that also click with probability ``dark``; the phase averaged by Gauss-Hermite quadrature; dephasing last.
    """
    half, same, other = math.sqrt(0.5), math.sqrt(visibility), math.sqrt(1 - visibility)
    ea, la = math.sqrt(etas[0]), math.sqrt(1 - etas[0])
    eb, lb = math.sqrt(etas[1]), math.sqrt(1 - etas[1])
    vacuum: Polynomial = {(0,) * 7: 1.0}
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    rho = np.zeros((4, 4), complex)
    for phase, weight in zip(nodes * phase_rms_rad, weights / weights.sum(), strict=True):
        turn = complex(math.cos(phase), math.sin(phase))
        first = photon({D1U: ea * half, D2U: ea * half, LOSS_A: la})
        second = photon({
            D1U: turn * eb * half * same, D2U: -turn * eb * half * same, LOSS_B_U: turn * lb * same,
            D1V: turn * eb * half * other, D2V: -turn * eb * half * other, LOSS_B_V: turn * lb * other,
        })  # fmt: skip
        light = []
        for bit_a, bit_b in itertools.product((0, 1), repeat=2):
            scale = math.sqrt((alphas[0] if bit_a else 1 - alphas[0]) * (alphas[1] if bit_b else 1 - alphas[1]))
            field = times(first if bit_a else vacuum, second if bit_b else vacuum)
            light.append({
                n: scale * a * math.sqrt(math.prod(map(math.factorial, n))) for n, a in field.items()
            })  # fmt: skip
        for i, j in itertools.product(range(4), repeat=2):
            for n, amplitude in light[i].items():
                clicks = (
                    1.0 if n[D1U] + n[D1V] else dark,
                    1.0 if n[D2U] + n[D2V] else dark,
                )
                chance = clicks[detector] * (1 - clicks[1 - detector])
                rho[i, j] += weight * chance * amplitude * np.conj(light[j].get(n, 0.0))
    for i, j in itertools.product(range(4), repeat=2):
        for bit, p in zip((2, 1), p2, strict=True):
            if (i ^ j) & bit:
                rho[i, j] *= math.sqrt(1 - p)
    return rho


@settings(deadline=None, max_examples=25)
@given(
    alphas=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)),
    etas=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
    dark=st.floats(0, 0.3),
    visibility=st.floats(0, 1),
    phase=st.floats(0, 1),
    p2=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
)
def test_single_click_equals_fock_space(
    alphas: tuple[float, float],
    etas: tuple[float, float],
    dark: float,
    visibility: float,
    phase: float,
    p2: tuple[float, float],
) -> None:
    assume(max(etas) > 0.01 or dark > 1e-6)
    result = single_click(
        *alphas, *etas, dark=dark, visibility=visibility, phase_rms_rad=phase, p2_a=p2[0], p2_b=p2[1]
    )
    oracles = [fock_oracle(alphas, etas, dark, visibility, phase, p2, detector) for detector in (0, 1)]
    assert result.p_herald == pytest.approx(sum(np.trace(oracle).real for oracle in oracles), rel=1e-9)
    # On detector 1 both photons add: psi+; on detector 2 they come with opposite signs: psi-.
    for bell, oracle in zip(("psi+", "psi-"), oracles, strict=True):
        assert np.abs(oracle / np.trace(oracle) - result.rho(bell)).max() < 1e-9


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.6])
def test_low_efficiency_limit(alpha: float) -> None:
    # p = 2 alpha eta; F = (1 - alpha)(1 + sqrt(V) exp(-sigma^2/2) k2)/2
    eta, visibility, sigma, p2 = 1e-7, 0.9, 0.25, 0.04
    result = single_click(alpha, alpha, eta, eta, visibility=visibility, phase_rms_rad=sigma, p2_a=p2, p2_b=p2)
    assert result.p_herald == pytest.approx(2 * alpha * eta, rel=1e-6)
    contrast = math.sqrt(visibility) * math.exp(-(sigma**2) / 2) * (1 - p2)
    assert result.fidelity == pytest.approx((1 - alpha) * (1 + contrast) / 2, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_perfect_interference_at_low_efficiency(alpha: float) -> None:
    assert single_click(alpha, alpha, 1e-8, 1e-8).fidelity == pytest.approx(1 - alpha)


def test_no_loss_by_hand() -> None:
    # alpha 1/2, eta 1, V 1: "10", "01" and "11" (both photons leave by one port) come with 1/4 each; C = 1/4.
    result = single_click(0.5, 0.5, 1.0, 1.0)
    assert result.p_herald == pytest.approx(0.75)
    assert result.populations == pytest.approx({"00": 0, "01": 1 / 3, "10": 1 / 3, "11": 1 / 3})
    assert result.fidelity == pytest.approx(2 / 3)


def test_distinguishable_photons_part_half_of_the_time() -> None:
    # V 0: two photons take different ports with 1/2, so that exactly one click comes with 1/2.
    result = single_click(1.0, 1.0, 1.0, 1.0, visibility=0.0)
    assert result.p_herald == pytest.approx(0.5)


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.5])
def test_noise_alone_gives_the_unheralded_state(alpha: float) -> None:
    result = single_click(alpha, alpha, 0.0, 0.0, dark=1e-3)
    assert result.p_herald == pytest.approx(2 * 1e-3 * (1 - 1e-3))
    assert result.fidelity == pytest.approx(alpha * (1 - alpha))
    assert result.populations["11"] == pytest.approx(alpha**2)


def test_arms_out_of_balance_lose_coherence() -> None:
    # x = alpha_A eta_A, y = alpha_B eta_B, alphas small: F = 1/2 + sqrt(xy)/(x + y)
    small = 1e-6
    result = single_click(small, small, 1e-3, 4e-3)
    assert result.fidelity == pytest.approx(0.5 + math.sqrt(4) / 5, rel=1e-4)
    assert single_click(4 * small, small, 1e-3, 4e-3).fidelity == pytest.approx(1, rel=1e-4)


def test_herald_rate_grows_with_alpha_times_eta() -> None:
    reference = single_click(0.1, 0.1, 1e-5, 1e-5).p_herald
    assert single_click(0.2, 0.2, 1e-5, 1e-5).p_herald == pytest.approx(2 * reference, rel=1e-4)
    assert single_click(0.1, 0.1, 3e-5, 3e-5).p_herald == pytest.approx(3 * reference, rel=1e-4)


def test_fidelity_falls_linearly_with_alpha_at_low_efficiency() -> None:
    at = [single_click(alpha, alpha, 1e-7, 1e-7, visibility=0.9).fidelity for alpha in (0.1, 0.2, 0.3)]
    assert at[0] - at[1] == pytest.approx(at[1] - at[2], rel=1e-4)


def test_fidelity_does_not_know_of_loss_without_noise() -> None:
    near, far = (single_click(0.3, 0.3, eta, eta, visibility=0.9).fidelity for eta in (1e-4, 1e-8))
    assert near == pytest.approx(far, rel=1e-4)


def test_published_rates_and_fidelities() -> None:
    """Humphreys 2018: inputs of the paper, 5.5 us an attempt; 6.55, 12.9, 38.4 Hz worked out beside the code."""
    for alpha, rate_hz, fidelity in ((0.05, 6.55, 0.863), (0.10, 12.9, 0.829), (0.30, 38.4, 0.651)):
        result = single_click(
            alpha, alpha, 2.8e-4, 4.2e-4, dark=5e-7, visibility=0.9, phase_rms_rad=0.25, p2_a=0.04, p2_b=0.04
        )
        assert result.p_herald / 5.5e-6 == pytest.approx(rate_hz, rel=2e-3)
        assert result.fidelity == pytest.approx(fidelity, abs=1e-3)


@pytest.mark.parametrize(
    "changes", [{"dark": -0.1}, {"visibility": 1.2}, {"p2_a": math.nan}, {"phase_rms_rad": -0.1}]
)
def test_what_is_no_probability_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(MisuseError, match=next(iter(changes))):
        single_click(0.3, 0.3, 0.1, 0.1, **changes)


def test_no_herald_and_no_such_state_are_refused() -> None:
    with pytest.raises(MisuseError, match="no herald can come"):
        single_click(0.3, 0.3, 0.0, 0.0)
    with pytest.raises(MisuseError, match=r"do not herald 'phi\+'"):
        single_click(0.3, 0.3, 0.1, 0.1).rho("phi+")


def test_fibre() -> None:
    assert fibre_transmission(50, 0.2) == pytest.approx(0.1)
    assert fibre_transmission(0, 8, insertion_loss_db=3) == pytest.approx(0.501187, rel=1e-5)


def test_dark_counts() -> None:
    # 20 Hz in 25 ns
    assert dark_probability(20, 25_000) == pytest.approx(5e-7, rel=1e-6)
    assert dark_probability(1e12, 1) == pytest.approx(1 - math.exp(-1))


def test_share_of_a_photon_in_the_window() -> None:
    # tau 12.4 ns, window 25 ns; 5 ns late
    assert share_in_window(25_000, 12_400) == pytest.approx(0.867, abs=1e-3)
    assert share_in_window(25_000, 12_400, 5_000) == pytest.approx(0.801, abs=1e-3)
    assert share_in_window(25_000, 12_400, 26_000) == 0


def test_overlap_of_late_photons() -> None:
    assert overlap_in_window(25_000, (12_400, 12_400), 5_000) == pytest.approx(0.617, abs=1e-3)
    assert overlap_in_window(25_000, (12_400, 12_400)) == pytest.approx(1)
    # Without a window (a very long one) exp(-dt/tau) is left.
    assert overlap_in_window(1e9, (12_400, 12_400), 5_000) == pytest.approx(0.668, abs=1e-3)
    assert overlap_in_window(25_000, (12_400, 12_400), 25_000) == 0


@pytest.mark.parametrize(("late_ps", "lifetimes_ps"), [(0, (12_000, 8_000)), (3_000, (12_000, 8_000)), (-3_000, (12_000, 8_000))])  # fmt: skip # noqa: E501
def test_overlap_is_the_integral(late_ps: float, lifetimes_ps: tuple[float, float]) -> None:
    window_ps = 25_000
    starts = (max(-late_ps, 0), max(late_ps, 0))
    t = (np.arange(250_000) + 0.5) * window_ps / 250_000
    packets = [
        np.where(t > start, np.exp(-np.maximum(t - start, 0) / (2 * tau)), 0)
        for start, tau in zip(starts, lifetimes_ps, strict=True)
    ]
    numeric = (packets[0] @ packets[1]) ** 2 / ((packets[0] @ packets[0]) * (packets[1] @ packets[1]))
    assert overlap_in_window(window_ps, lifetimes_ps, late_ps) == pytest.approx(numeric, rel=1e-4)


# --- double click -----------------------------------------------------------------------------------------------


def window_clicks(light: Polynomial, dark: float, detector: int) -> dict[tuple[int, ...], tuple[float, complex]]:
    """Occupation to (chance that this detector alone clicks, amplitude) for the light of one window."""
    table = {}
    for n, a in light.items():
        amplitude = a * math.sqrt(math.prod(map(math.factorial, n)))
        clicks = (1.0 if n[D1U] + n[D1V] else dark, 1.0 if n[D2U] + n[D2V] else dark)
        table[n] = (clicks[detector] * (1 - clicks[1 - detector]), amplitude)
    return table


def two_window_oracle(
    etas: tuple[float, float], dark: float, visibility: float, phase: float, detectors: tuple[int, int]
) -> np.ndarray:
    """Unnormalised state after one click in each of two windows, spins flipped between them, alphas 1/2.

    The light of each window is that of `fock_oracle`; the two windows' modes are different, so that amplitudes
    multiply. Labels are those before the first window.
    """
    half, same, other = math.sqrt(0.5), math.sqrt(visibility), math.sqrt(1 - visibility)
    ea, la = math.sqrt(etas[0]), math.sqrt(1 - etas[0])
    eb, lb = math.sqrt(etas[1]), math.sqrt(1 - etas[1])
    turn = complex(math.cos(phase), math.sin(phase))
    vacuum: Polynomial = {(0,) * 7: 1.0}
    first = photon({D1U: ea * half, D2U: ea * half, LOSS_A: la})
    second = photon({
        D1U: turn * eb * half * same, D2U: -turn * eb * half * same, LOSS_B_U: turn * lb * same,
        D1V: turn * eb * half * other, D2V: -turn * eb * half * other, LOSS_B_V: turn * lb * other,
    })  # fmt: skip
    rho = np.zeros((4, 4), complex)
    tables = []
    for bit_a, bit_b in itertools.product((0, 1), repeat=2):
        early = times(first if bit_a else vacuum, second if bit_b else vacuum)
        late = times(vacuum if bit_a else first, vacuum if bit_b else second)
        tables.append((window_clicks(early, dark, detectors[0]), window_clicks(late, dark, detectors[1])))
    for i, j in itertools.product(range(4), repeat=2):
        total = 1.0 + 0j
        for window in (0, 1):
            ours, theirs = tables[i][window], tables[j][window]
            total *= sum(
                chance * amplitude * np.conj(theirs[n][1]) for n, (chance, amplitude) in ours.items() if n in theirs
            )
        rho[i, j] = total / 4
    return rho


@settings(deadline=None, max_examples=25)
@given(
    etas=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
    dark=st.floats(0, 0.3),
    visibility=st.floats(0, 1),
    phase=st.floats(0, 6.28),
)
def test_double_click_equals_fock_space_whatever_the_common_phase(
    etas: tuple[float, float], dark: float, visibility: float, phase: float
) -> None:
    result = double_click(0.5, 0.5, *etas, dark=dark, visibility=visibility)
    oracles = {
        pair: two_window_oracle(etas, dark, visibility, phase, pair) for pair in itertools.product((0, 1), repeat=2)
    }
    assert result.p_herald == pytest.approx(sum(np.trace(oracle).real for oracle in oracles.values()), rel=1e-9)
    for pair, oracle in oracles.items():
        bell = "psi+" if pair[0] == pair[1] else "psi-"
        assert np.abs(oracle / np.trace(oracle) - result.rho(bell)).max() < 1e-9


def test_double_click_without_noise_by_hand() -> None:
    # Each node's photon once, in different windows with chance 1/2: p = eta_A eta_B / 2, F = (1 + V) / 2.
    result = double_click(0.5, 0.5, 0.02, 0.03, visibility=0.9)
    assert result.p_herald == pytest.approx(0.02 * 0.03 / 2)
    assert result.fidelity == pytest.approx(0.95)


def test_double_click_of_noise_alone_is_a_mixture() -> None:
    result = double_click(0.5, 0.5, 0.0, 0.0, dark=1e-3)
    assert result.p_herald == pytest.approx((2 * 1e-3 * (1 - 1e-3)) ** 2)
    assert result.fidelity == pytest.approx(0.25)


def test_double_click_grows_with_the_product_of_efficiencies() -> None:
    reference = double_click(0.5, 0.5, 1e-3, 1e-3).p_herald
    assert double_click(0.5, 0.5, 3e-3, 1e-3).p_herald == pytest.approx(3 * reference)
