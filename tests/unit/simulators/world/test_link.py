"""The click maps against an oracle in QuTiP, against closed forms and against what a hand calculates."""

from __future__ import annotations

from itertools import pairwise
from math import cos, exp, pi, sin, sqrt

import numpy as np
import pytest
import qutip
from numpy.polynomial.hermite_e import hermegauss
from scipy.integrate import quad

from qnode.errors import MisuseError
from simulators.world.link import ClickMaps, NodeEmission, dark_click_probability

BRIGHT = np.diag([0.0, 1.0]).astype(complex)
DARK = np.diag([1.0, 0.0]).astype(complex)
WINDOW_PS = 25_000.0
LIFETIME_PS = 12_400.0
SHARE = 1 - exp(-WINDOW_PS / LIFETIME_PS)


def superposition(alpha: float, phase: float = 0.0) -> np.ndarray:
    """Pure spin with bright population alpha."""
    ket = np.array([sqrt(1 - alpha), sqrt(alpha) * np.exp(1j * phase)])
    return np.outer(ket, ket.conj())


def node(
    alpha: float = 1.0,
    efficiency: float = 1.0,
    *,
    angle: float = pi,
    arrival_ps: float = 0.0,
    lifetime_ps: float = LIFETIME_PS,
    p2: float = 0.0,
) -> NodeEmission:
    return NodeEmission(superposition(alpha), angle, efficiency, arrival_ps, lifetime_ps, p2)


def random_spin(rng: np.random.Generator) -> np.ndarray:
    """A mixed state with all its elements."""
    root = rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2))
    rho = root @ root.conj().T
    return rho / np.trace(rho)


# The oracle: every mode a factor of one tensor space, the beam splitter a matrix exponential, loss a channel on the
# photons, double excitation a parity flip, packets integrated numerically.

# Node a's light, node b's light, each in the shared temporal mode and in another one; then the spins.
DIMS = [3, 3, 2, 2, 2, 2]
MODE_A, MODE_B, OTHER_A, OTHER_B, SPIN_A, SPIN_B = range(6)


def embed(operator: qutip.Qobj, place: int) -> qutip.Qobj:
    return qutip.tensor([operator if i == place else qutip.qeye(d) for i, d in enumerate(DIMS)])


LOWER = [embed(qutip.destroy(DIMS[i]), i) for i in range(4)]


def numeric_packets(a: NodeEmission, b: NodeEmission) -> tuple[float, float, float]:
    """Shares in the window and normalised overlap, by quadrature."""

    def field(of: NodeEmission, t: float) -> float:
        age = t - of.arrival_ps
        return exp(-age / (2 * of.lifetime_ps)) / sqrt(of.lifetime_ps) if age >= 0 else 0.0

    corners = sorted({0.0, WINDOW_PS, *(x.arrival_ps for x in (a, b) if 0 < x.arrival_ps < WINDOW_PS)})

    def integrate(f, g):
        pieces = pairwise(corners)
        return sum(quad(lambda t: field(f, t) * field(g, t), lo, hi, epsabs=1e-14)[0] for lo, hi in pieces)

    share_a, share_b = integrate(a, a), integrate(b, b)
    return share_a, share_b, integrate(a, b) / sqrt(share_a * share_b)


def lossy(state: qutip.Qobj, modes: list[int], transmission: float) -> qutip.Qobj:
    """Loss of each mode by itself; Kraus operators for up to two photons."""
    for mode in modes:
        damp = (0.5 * np.log(transmission) * LOWER[mode].dag() * LOWER[mode]).expm()
        kraus = [sqrt((1 - transmission) ** lost / (1, 1, 2)[lost]) * damp * LOWER[mode] ** lost for lost in range(3)]
        state = sum(k * state * k.dag() for k in kraus)
    return state


def oracle(
    a: NodeEmission, b: NodeEmission, visibility: float, dark: float, psi_plus_on: str, phase: float
) -> list[np.ndarray]:
    """Unnormalised spin states of the four patterns."""
    share_a, share_b, shape = numeric_packets(a, b)
    overlap = sqrt(visibility) * shape
    vacuum = qutip.tensor([qutip.ket2dm(qutip.basis(d, 0)) for d in DIMS[:4]])
    state = qutip.tensor(vacuum, qutip.Qobj(a.spin), qutip.Qobj(b.spin))
    emitters = [
        (a, SPIN_A, np.exp(1j * phase) * LOWER[MODE_A].dag(), [MODE_A]),
        (b, SPIN_B, overlap * LOWER[MODE_B].dag() + sqrt(1 - overlap**2) * LOWER[OTHER_B].dag(), [MODE_B, OTHER_B]),
    ]
    for emitter, spin, create, modes in emitters:
        bright = embed(qutip.ket2dm(qutip.basis(2, 1)), spin)
        half = emitter.excitation_rad / 2
        emit = (1 - bright) + bright * (cos(half) + sin(half) * create)
        state = emit * state * emit.dag()
        parity = qutip.qeye(DIMS)
        for mode in modes:
            parity = parity * (1j * pi * LOWER[mode].dag() * LOWER[mode]).expm()
        flip = (1 - sqrt(1 - emitter.double_excitation)) / 2
        state = (1 - flip) * state + flip * parity * state * parity.dag()
    state = lossy(state, [MODE_A], a.efficiency * share_a)
    state = lossy(state, [MODE_B, OTHER_B], b.efficiency * share_b)
    for first, second in ((MODE_A, MODE_B), (OTHER_A, OTHER_B)):
        hop = LOWER[first].dag() * LOWER[second]
        splitter = (-pi / 4 * (hop - hop.dag())).expm()
        state = splitter * state * splitter.dag()

    def silent(first: int, second: int) -> qutip.Qobj:
        empty = [qutip.ket2dm(qutip.basis(DIMS[m], 0)) for m in (first, second)]
        return (1 - dark) * embed(empty[0], first) * embed(empty[1], second)

    # The splitter sends node a's photon to (1 + 2) and node b's to (2 - 1): psi+ on detector 2 as it stands.
    silent_1, silent_2 = silent(MODE_A, OTHER_A), silent(MODE_B, OTHER_B)
    if psi_plus_on == "det1":
        silent_1, silent_2 = silent_2, silent_1
    one = qutip.qeye(DIMS)
    effects = [silent_1 * silent_2, (one - silent_1) * silent_2, silent_1 * (one - silent_2)]
    effects.append(one - effects[0] - effects[1] - effects[2])
    return [(effect * state).ptrace([SPIN_A, SPIN_B]).full() for effect in effects]


def cases() -> list[tuple]:
    rng = np.random.default_rng(20)
    made = []
    for number in range(8):
        emissions = tuple(
            NodeEmission(
                random_spin(rng),
                pi if number < 3 else rng.uniform(0.1, 2 * pi),
                rng.uniform(0.05, 1),
                rng.uniform(-8_000, 12_000),
                rng.uniform(3_000, 20_000),
                rng.uniform(0, 0.3),
            )
            for _ in range(2)
        )
        made.append(
            (*emissions, rng.uniform(0, 1), rng.uniform(0, 0.2), ("det1", "det2")[number % 2], rng.uniform(-3, 3))
        )
    return made


@pytest.mark.parametrize(("a", "b", "visibility", "dark", "psi_plus_on", "phase"), cases())
def test_maps_equal_the_full_tensor_space(a, b, visibility, dark, psi_plus_on, phase):
    expected = oracle(a, b, visibility, dark, psi_plus_on, phase)
    maps = ClickMaps.compute(a, b, WINDOW_PS, visibility, dark, psi_plus_on)
    assert maps.probability_at(phase)[0] == pytest.approx([np.trace(rho).real for rho in expected], abs=1e-10)
    for pattern, rho in enumerate(expected):
        state = maps.multipliers(pattern, phase)[0] * np.kron(a.spin, b.spin)
        np.testing.assert_allclose(state, rho, atol=1e-10)
        np.testing.assert_allclose(maps.post_state(pattern, [phase])[0], rho / np.trace(rho), atol=1e-9)


@pytest.mark.parametrize("case", cases()[:3])
def test_the_four_maps_keep_the_trace_and_are_positive(case):
    maps = ClickMaps.compute(*case[:2], WINDOW_PS, *case[2:5])
    multipliers = np.stack([maps.multipliers(pattern, 0.4)[0] for pattern in range(4)])
    np.testing.assert_allclose(np.einsum("mii->i", multipliers), 1, atol=1e-12)
    # A map that multiplies element by element is completely positive when its multiplier is a positive matrix.
    assert min(np.linalg.eigvalsh(m).min() for m in multipliers) > -1e-12


def single_click(alpha, eta, dark, visibility, sigma, k2):
    """Populations times p, coherence times p, and p, of exactly one click; threshold detectors, full excitation."""
    (xa, xb), (ea, eb) = alpha, eta
    d = dark
    p00 = (1 - xa) * (1 - xb) * 2 * d * (1 - d)
    p10 = xa * (1 - xb) * (ea * (1 - d) + (1 - ea) * 2 * d * (1 - d))
    p01 = xb * (1 - xa) * (eb * (1 - d) + (1 - eb) * 2 * d * (1 - d))
    one = (ea * (1 - eb) + eb * (1 - ea)) * (1 - d)
    p11 = xa * xb * (one + ea * eb * (1 + visibility) / 2 * (1 - d) + (1 - ea) * (1 - eb) * 2 * d * (1 - d))
    coherence = sqrt(visibility) * exp(-(sigma**2) / 2) * k2 * sqrt(xa * (1 - xa) * xb * (1 - xb) * ea * eb) * (1 - d)
    return np.array([p00, p01, p10, p11]), coherence


@pytest.mark.parametrize(
    ("alpha", "eta", "dark", "visibility", "sigma", "p2"),
    [
        ((0.30, 0.30), (4.0e-4, 6.0e-4), 5e-7, 0.9, 0.25, 0.04),
        ((0.05, 0.60), (0.50, 0.86), 1e-3, 0.6, 0.8, 0.20),
        ((0.50, 0.50), (0.86, 0.86), 0.05, 1.0, 0.0, 0.0),
    ],
)
def test_single_click_closed_form(alpha, eta, dark, visibility, sigma, p2):
    nodes = [node(x, e / SHARE, p2=p2) for x, e in zip(alpha, eta, strict=True)]
    maps = ClickMaps.compute(*nodes, WINDOW_PS, visibility, dark, "det1", phase_rms_rad=sigma)
    weights, coherence = single_click(alpha, eta, dark, visibility, sigma, 1 - p2)
    p = weights.sum()
    assert maps.probability[1] + maps.probability[2] == pytest.approx(p, rel=1e-9)
    points, share = hermegauss(40)
    for pattern, sign in ((1, 1), (2, -1)):
        rho = np.einsum("n,nij->ij", share / share.sum(), maps.post_state(pattern, sigma * points))
        np.testing.assert_allclose(np.diag(rho).real, weights / p, rtol=1e-9)
        assert rho[1, 2] == pytest.approx(sign * coherence / p, rel=1e-9)


def test_low_efficiency_limit():
    alpha, eta, visibility = 0.2, 1e-7, 0.81
    maps = ClickMaps.compute(node(alpha, eta), node(alpha, eta), WINDOW_PS, visibility, 0.0)
    seen = eta * SHARE
    assert maps.probability[1:].sum() == pytest.approx(2 * alpha * seen, rel=1e-6)
    psi = np.array([0, 1, 1, 0]) / sqrt(2)
    fidelity = (psi @ maps.post_state(1, [0.0])[0] @ psi).real
    assert fidelity == pytest.approx((1 - alpha) * (1 + 0.9) / 2, rel=1e-6)


def test_dark_clicks_alone_leave_the_spins_as_they_were():
    alpha, dark = 0.3, 1e-3
    maps = ClickMaps.compute(node(alpha, 0.0), node(alpha, 0.0), WINDOW_PS, 1.0, dark)
    assert maps.probability == pytest.approx([(1 - dark) ** 2, dark * (1 - dark), dark * (1 - dark), dark**2])
    rho = maps.post_state(1, [0.0])[0]
    assert rho[1, 1].real + rho[2, 2].real == pytest.approx(2 * alpha * (1 - alpha))
    # Each spin lost its coherence to its photon.
    assert np.abs(rho - np.diag(np.diag(rho))).max() == pytest.approx(0)


def test_dark_spins_send_nothing():
    silent = NodeEmission(DARK, pi, 1.0, 0.0, LIFETIME_PS)
    assert ClickMaps.compute(silent, silent, WINDOW_PS, 1.0, 0.0).probability == pytest.approx([1, 0, 0, 0])


def test_a_pulse_of_two_pi_sends_nothing_and_turns_the_sign():
    maps = ClickMaps.compute(node(0.5, angle=2 * pi), node(0.5, angle=2 * pi), WINDOW_PS, 1.0, 0.0)
    assert maps.probability == pytest.approx([1, 0, 0, 0])
    minus = np.array([1, -1]) / sqrt(2)
    ket = np.kron(minus, minus)
    np.testing.assert_allclose(maps.post_state(0, [0.0])[0], np.outer(ket, ket), atol=1e-12)


def visibility_of(later_ps: float, indistinguishability: float) -> tuple[float, float]:
    """Hong-Ou-Mandel visibility from the coincidences of two photons, and the share of the later one."""
    early = NodeEmission(BRIGHT, pi, 1.0, 0.0, LIFETIME_PS)
    late = NodeEmission(BRIGHT, pi, 1.0, later_ps, LIFETIME_PS)
    dark = NodeEmission(DARK, pi, 1.0, 0.0, LIFETIME_PS)
    alone = 1 - ClickMaps.compute(dark, late, WINDOW_PS, indistinguishability, 0.0).probability[0]
    both = ClickMaps.compute(early, late, WINDOW_PS, indistinguishability, 0.0).probability[3]
    return 1 - 2 * both / (SHARE * alone), alone


def test_hong_ou_mandel_in_a_window():
    # exp(-dt/tau) (1 - exp(-(T - dt)/tau)) / (1 - exp(-T/tau)) for tau 12.4 ns, T 25 ns, dt 5 ns, by calculator.
    visibility, share = visibility_of(5_000.0, 1.0)
    assert visibility == pytest.approx(0.617, abs=5e-4)
    assert share == pytest.approx(0.801, abs=5e-4)
    assert visibility_of(5_000.0, 0.9)[0] == pytest.approx(0.9 * visibility)
    assert visibility_of(0.0, 1.0) == pytest.approx((1.0, 0.8668), abs=5e-5)


def test_packets_that_never_meet_keep_no_coherence():
    maps = ClickMaps.compute(node(0.5), node(0.5, arrival_ps=WINDOW_PS + 1), WINDOW_PS, 1.0, 0.0)
    rho = maps.post_state(1, [0.0])[0]
    assert np.abs(rho[1, 2]) == 0
    assert maps.probability[1:] == pytest.approx([SHARE / 4, SHARE / 4, 0])


@pytest.mark.parametrize(("on", "signs"), [("det1", (1, -1)), ("det2", (-1, 1))])
def test_the_detector_tells_the_sign(on, signs):
    maps = ClickMaps.compute(node(0.1, 0.01), node(0.1, 0.01), WINDOW_PS, 1.0, 0.0, on)
    rho = maps.post_state([1, 2], [0.0, 0.0])
    assert tuple(np.sign(rho[:, 1, 2].real)) == signs


def test_double_excitation_lowers_coherence_and_adds_no_clicks():
    once = ClickMaps.compute(node(0.3, 0.2), node(0.4, 0.1), WINDOW_PS, 0.9, 1e-4)
    twice = ClickMaps.compute(node(0.3, 0.2, p2=0.19), node(0.4, 0.1, p2=0.36), WINDOW_PS, 0.9, 1e-4)
    np.testing.assert_allclose(twice.probability, once.probability, rtol=1e-12)
    ratio = twice.post_state(2, [0.3])[0] / once.post_state(2, [0.3])[0]
    assert ratio[1, 2] == pytest.approx(sqrt(0.81 * 0.64))


def half_excited(phase_rms_rad: float = 0.0) -> ClickMaps:
    """Both nodes bright and pulsed by pi/2: (|0> + |1>)/sqrt(2) of light each, all of it detected."""
    never_cut = 1e9
    return ClickMaps.compute(node(angle=pi / 2), node(angle=pi / 2), never_cut, 1.0, 0.0, "det1", phase_rms_rad)


def test_partly_excited_light_interferes():
    # No photon 1/4; two photons 1/4, which bunch; one photon 1/2, all of it at detector 1 (phase 0) or 2 (phase pi).
    probability = half_excited().probability_at([0.0, pi, pi / 2])
    np.testing.assert_allclose(
        probability, [[0.25, 0.625, 0.125, 0], [0.25, 0.125, 0.625, 0], [0.25, 0.375, 0.375, 0]], atol=1e-12
    )


def test_probability_is_a_mean_over_the_phase():
    contrast = 0.25 * exp(-(0.7**2) / 2)
    assert half_excited(0.7).probability == pytest.approx([0.25, 0.375 + contrast, 0.375 - contrast, 0])


def test_patterns_redrawn_at_a_phase_follow_it():
    maps, draws = half_excited(0.7), 100_000
    rng = np.random.default_rng(5)
    drawn = rng.choice(4, p=maps.probability, size=draws).astype(np.uint8)
    redrawn = maps.pattern_given_phase(drawn, np.zeros(draws), rng.random(draws))
    np.testing.assert_array_equal(redrawn == 0, drawn == 0)
    clicks = int((drawn > 0).sum())
    # 0.625 of 0.75 at phase 0.
    expected, spread = clicks * 5 / 6, sqrt(clicks * 5 / 36)
    assert abs((redrawn == 1).sum() - expected) < 4 * spread


def test_full_excitation_redraws_nothing():
    maps = ClickMaps.compute(node(0.3, 0.5), node(0.3, 0.5), WINDOW_PS, 1.0, 0.0)
    drawn = np.array([1, 2, 2, 1], dtype=np.uint8)
    assert maps.pattern_given_phase(drawn, np.zeros(4), np.zeros(4)).tolist() == [1, 2, 2, 1]


def test_dark_click_probability():
    assert dark_click_probability(20.0, 25_000.0) == pytest.approx(5e-7, rel=1e-6)
    assert dark_click_probability(1e9, 1_000.0) == pytest.approx(1 - exp(-1))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda: NodeEmission(np.eye(2), pi, 0.5, 0.0, 1.0), "density matrix"),
        (lambda: NodeEmission(DARK, pi, 1.2, 0.0, 1.0), "efficiency"),
        (lambda: NodeEmission(DARK, pi, 0.5, 0.0, 0.0), "lifetime_ps"),
        (lambda: NodeEmission(DARK, pi, 0.5, 0.0, 1.0, -0.1), "double_excitation"),
        (lambda: ClickMaps.compute(node(), node(), 0.0, 1.0, 0.0), "window_ps"),
        (lambda: ClickMaps.compute(node(), node(), 1.0, 1.1, 0.0), "indistinguishability"),
        (lambda: ClickMaps.compute(node(), node(), 1.0, 1.0, -1.0), "dark_probability"),
        (lambda: ClickMaps.compute(node(), node(), 1.0, 1.0, 0.0, "det3"), "psi_plus_on"),
        (lambda: ClickMaps.compute(node(), node(), 1.0, 1.0, 0.0).post_state(4, [0.0]), "0..3"),
        (lambda: ClickMaps.compute(node(0.0), node(0.0), 1.0, 1.0, 0.0).post_state(1, [0.0]), "can't occur"),
    ],
)
def test_misuse_is_named(wrong, word):
    with pytest.raises(MisuseError, match=word):
        wrong()
