"""Islands against QuTiP and against what a hand calculates."""

from __future__ import annotations

from math import exp, pi, sqrt

import numpy as np
import pytest
import qutip

from qnode.errors import MisuseError
from simulators.world import states
from simulators.world.states import MAX_QUBITS, Island, QubitNoise, rotation

US = 1_000_000
X, Y, Z = (op.full() for op in (qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()))
CNOT = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=complex)
PLUS = np.full((2, 2), 0.5, dtype=complex)
DARK = np.diag([1.0, 0.0]).astype(complex)
BELL = np.zeros((4, 4), dtype=complex)
BELL[1:3, 1:3] = 0.5


def random_rho(qubits: int, batch: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(batch, 2**qubits, 2**qubits)) + 1j * rng.normal(size=(batch, 2**qubits, 2**qubits))
    rho = root @ root.conj().swapaxes(1, 2)
    return rho / np.einsum("nii->n", rho)[:, None, None]


def in_place(operator: np.ndarray, place: int, qubits: int) -> np.ndarray:
    return qutip.tensor([qutip.Qobj(operator) if i == place else qutip.qeye(2) for i in range(qubits)]).full()


def repeated(rho: np.ndarray, batch: int) -> np.ndarray:
    return np.broadcast_to(rho, (batch, *rho.shape))


@pytest.mark.parametrize(("angle", "phase"), [(0.3, 0.0), (pi / 2, pi / 2), (pi, 0.7), (-1.1, 2.5)])
def test_rotation_is_the_exponential(angle, phase):
    generator = qutip.Qobj(np.cos(phase) * X + np.sin(phase) * Y)
    np.testing.assert_allclose(rotation(angle, phase), (-0.5j * angle * generator).expm().full(), atol=1e-12)


def test_half_a_turn_about_y_brings_bright_to_minus_dark():
    # exp(-i pi/2 Y) |1> = -|0>; X would give -i |0>.
    np.testing.assert_allclose(rotation(pi, pi / 2) @ [0, 1], [-1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(pi, 0.0) @ [0, 1], [-1j, 0], atol=1e-12)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_qubit_gates(place):
    rho = random_rho(3, 5)
    island = Island("abc", rho)
    island.rotate("abc"[place], 0.8, 0.3, 0)
    gate = in_place(rotation(0.8, 0.3), place, 3)
    np.testing.assert_allclose(island.rho, gate @ rho @ gate.conj().T, atol=1e-12)


@pytest.mark.parametrize(("control", "target"), [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")])
def test_two_qubit_gates(control, target):
    rho = random_rho(3, 4)
    island = Island("abc", rho)
    island.apply(CNOT, [control, target], 0)
    on, flipped = "abc".index(control), "abc".index(target)
    gate = in_place((np.eye(2) + Z) / 2, on, 3) + in_place((np.eye(2) - Z) / 2, on, 3) @ in_place(X, flipped, 3)
    np.testing.assert_allclose(island.rho, gate @ rho @ gate.conj().T, atol=1e-12)


def test_a_rotation_for_each_copy():
    rho, angles = random_rho(2, 3), np.array([0.0, 0.5, pi])
    island = Island("ab", rho)
    island.rotate("b", angles, 0.2, 0)
    for copy, angle in enumerate(angles):
        gate = np.kron(np.eye(2), rotation(angle, 0.2))
        np.testing.assert_allclose(island.rho[copy], gate @ rho[copy] @ gate.conj().T, atol=1e-12)


def test_chunks_don_t_show(monkeypatch):
    rho, uniform = random_rho(2, 50), np.random.default_rng(1).random(50)
    angles = np.linspace(0, 3, 50)
    results = []
    for size in (16 * 7, 16 * 1000):
        monkeypatch.setattr(states, "_CHUNK_ELEMENTS", size)
        island = Island("ab", rho, noise={"a": QubitNoise(1e-3, 5.0, 1e-3)})
        island.draw_detuning("a", np.random.default_rng(2))
        island.rotate("a", angles, angles, 2 * US)
        outcome = island.measure("b", uniform, 3 * US)
        island.reset("b", PLUS, 3 * US)
        results.append((island.rho.copy(), outcome, island.bright_probability("a", 4 * US)))
    for small, large in zip(*results, strict=True):
        np.testing.assert_array_equal(small, large)


def test_idling_solves_the_master_equation():
    noise = {"a": QubitNoise(t1_s=40e-6, t2_s=25e-6), "b": QubitNoise(t1_s=90e-6, t2_s=150e-6)}
    rho = random_rho(2, 1)
    island = Island("ab", rho, noise=noise)
    # Twice: what is applied lazily must not depend on how often one looks.
    island.bright_probability("a", 12 * US)
    for name in "ab":
        island.idle(name, 30 * US)
    collapse = []
    for place, name in enumerate("ab"):
        t1, t2 = noise[name].t1_s * 1e6, noise[name].t2_s * 1e6
        for jump in (qutip.sigmap(), qutip.sigmam()):
            collapse.append(sqrt(1 / (2 * t1)) * qutip.Qobj(in_place(jump.full(), place, 2)))
        pure = 1 / t2 - 1 / (2 * t1)
        collapse.append(sqrt(pure / 2) * qutip.Qobj(in_place(Z, place, 2)))
    options = {"atol": 1e-12, "rtol": 1e-10}
    solved = qutip.mesolve(qutip.Qobj(np.zeros((4, 4))), qutip.Qobj(rho[0]), [0, 30], collapse, options=options)
    np.testing.assert_allclose(island.rho[0], solved.states[-1].full(), atol=1e-7)


def test_a_static_detuning_turns_about_z():
    island = Island("a", repeated(PLUS, 2), detuning_rad_s={"a": np.array([0.0, 3e5])})
    island.idle("a", 2 * US)
    turn = qutip.Qobj(0.5 * 3e5 * 2e-6 * Z)
    expected = (-1j * turn).expm().full() @ PLUS @ (1j * turn).expm().full()
    np.testing.assert_allclose(island.rho, [PLUS, expected], atol=1e-12)


def dephased(batch: int = 40_000) -> Island:
    island = Island("a", repeated(PLUS, batch), noise={"a": QubitNoise(t2_star_us=5.0)})
    island.draw_detuning("a", np.random.default_rng(8))
    return island


def test_quasi_static_dephasing_is_gaussian_in_time():
    island = dephased()
    for microseconds in (1, 3, 5):
        island.idle("a", microseconds * US)
        found = 2 * island.rho[:, 0, 1].real
        assert abs(found.mean() - exp(-((microseconds / 5) ** 2))) < 4 * found.std() / sqrt(island.batch)


def test_an_echo_brings_it_back_when_the_times_are_equal():
    island = dephased(500)
    island.rotate("a", pi, 0.0, 6 * US)
    island.idle("a", 12 * US)
    np.testing.assert_allclose(2 * island.rho[:, 0, 1].real, 1, atol=1e-9)
    late = dephased(40_000)
    late.rotate("a", pi, 0.0, 6 * US)
    late.idle("a", 15 * US)
    found = 2 * late.rho[:, 0, 1].real
    assert abs(found.mean() - exp(-((3 / 5) ** 2))) < 4 * found.std() / sqrt(late.batch)


def test_times_of_its_own_for_each_copy():
    island = Island("a", repeated(PLUS, 2), np.array([0, 10 * US]), noise={"a": QubitNoise(t2_s=20e-6)})
    island.idle("a", np.array([30 * US, 30 * US]))
    np.testing.assert_allclose(2 * island.rho[:, 0, 1].real, [exp(-1.5), exp(-1)], rtol=1e-12)
    assert island.touched_ps["a"].tolist() == [30 * US, 30 * US]


def test_only_what_is_touched_ages():
    noise = {name: QubitNoise(t2_s=20e-6) for name in "ab"}
    island = Island("ab", repeated(np.kron(PLUS, PLUS), 1), noise=noise)
    island.rotate("a", 0.0, 0.0, 20 * US)
    assert (int(island.touched_ps["a"]), int(island.touched_ps["b"])) == (20 * US, 0)
    # The element |00><01| lives on b's coherence alone, |00><10| on a's.
    np.testing.assert_allclose(island.rho[0, 0, 1:3], [0.25, 0.25 * exp(-1)], rtol=1e-12)


def test_measurement_follows_born_and_collapses():
    batch = 50_000
    rho = random_rho(2, 1)
    island = Island("ab", repeated(rho[0], batch))
    rng = np.random.default_rng(4)
    first, second = (island.measure(name, rng.random(batch), 0) for name in "ab")
    found = np.bincount(2 * first + second, minlength=4)
    expected = np.diag(rho[0]).real * batch
    assert np.abs((found - expected) / np.sqrt(expected)).max() < 4
    again = island.measure("a", rng.random(batch), 0)
    np.testing.assert_array_equal(again, first)
    assert island.rho[np.arange(batch), 2 * first + second, 2 * first + second] == pytest.approx(1)


def test_bell_pairs_answer_together_in_every_basis():
    batch = 2_000
    rng = np.random.default_rng(6)
    # psi+: <ZZ> = -1, <XX> = <YY> = +1; a rotation about Y measures X, one about X measures Y.
    for turn, sign in ((None, -1), (pi / 2, 1), (0.0, 1)):
        island = Island("ab", repeated(BELL, batch))
        if turn is not None:
            for name in "ab":
                island.rotate(name, pi / 2, turn, 0)
        first, second = (island.measure(name, rng.random(batch), 0) for name in "ab")
        assert ((1 - 2.0 * first) * (1 - 2.0 * second) == sign).all()
        assert 0.4 < first.mean() < 0.6


def test_a_uniform_number_below_p_is_bright():
    island = Island("a", repeated(np.diag([0.7, 0.3]), 3))
    assert island.measure("a", np.array([0.0, 0.299, 0.3]), 0).tolist() == [1, 1, 0]


def test_reset_cuts_entanglement():
    island = Island("ab", repeated(BELL, 2))
    island.reset("b", DARK, 5)
    np.testing.assert_allclose(island.rho, repeated(np.kron(np.eye(2) / 2, DARK), 2), atol=1e-12)


def test_merge_and_split():
    left, right = random_rho(1, 3, seed=1), random_rho(2, 3, seed=2)
    noise = {"c": QubitNoise(t2_s=1.0)}
    merged = Island("a", left, 7).merge(Island("bc", right, 9, noise=noise))
    assert merged.names == ("a", "b", "c")
    np.testing.assert_allclose(merged.rho, [np.kron(x, y) for x, y in zip(left, right, strict=True)], atol=1e-12)
    assert [int(merged.touched_ps[name]) for name in "abc"] == [7, 9, 9]
    assert merged.noise["c"].t2_s == 1.0
    pair, single = merged.split(["c", "b"])
    assert (pair.names, single.names) == (("c", "b"), ("a",))
    swap = np.eye(4)[[0, 2, 1, 3]]
    np.testing.assert_allclose(pair.rho, swap @ right @ swap, atol=1e-12)
    np.testing.assert_allclose(single.rho, left, atol=1e-12)
    assert pair.noise["c"].t2_s == 1.0


def test_entangled_qubits_don_t_split_until_one_is_measured():
    island = Island("ab", repeated(BELL, 2))
    with pytest.raises(MisuseError, match="correlated"):
        island.split(["a"])
    island.measure("a", np.array([0.1, 0.9]), 0)
    first, second = island.split(["a"])
    assert first.rho[:, 1, 1].real.tolist() == [1, 0]
    assert second.rho[:, 1, 1].real.tolist() == [0, 1]


def test_entanglement_swapping():
    # Bell measurement of the middle qubits: outcomes of a CNOT, a Hadamard and two readings, without a correction.
    batch = 200
    island = Island("ab", repeated(BELL, batch)).merge(Island("cd", repeated(BELL, batch)))
    rng = np.random.default_rng(9)
    island.apply(CNOT, ["b", "c"], 0)
    island.apply((X + Z) / sqrt(2), "b", 0)
    phase, parity = (island.measure(name, rng.random(batch), 0) for name in "bc")
    _, ends = island.split(["b", "c"])
    for copy in range(batch):
        # Two psi+ with the result psi+ in the middle leave psi+: parity 1 keeps psi, phase 1 turns the sign.
        sign = 1 - 2 * int(phase[copy])
        ket = np.array([0, 1, sign, 0] if parity[copy] else [1, 0, 0, sign]) / sqrt(2)
        assert (ket @ ends.rho[copy] @ ket).real == pytest.approx(1)
    assert {*phase.tolist(), *parity.tolist()} == {0, 1}


def chain(qubits: int) -> Island:
    rho = np.zeros((1, 2**qubits, 2**qubits))
    rho[0, 0, 0] = 1
    return Island([f"q{i}" for i in range(qubits)], rho)


def test_ten_qubits_work_and_eleven_are_refused():
    full = chain(MAX_QUBITS)
    full.rotate("q9", pi, 0.0, 0)
    assert full.bright_probability("q9", 0) == pytest.approx([1])
    assert full.bright_probability("q0", 0) == pytest.approx([0])
    with pytest.raises(MisuseError, match=r"11 qubits .*10 is the most - measure or reset"):
        full.merge(Island(["more"], DARK[None]))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda: Island("ab", repeated(DARK, 2)), r"shape \(2, 2, 2\)"),
        (lambda: Island("aa", repeated(BELL, 2)), "each qubit once"),
        (lambda: chain(2).rotate("x", 1.0, 0.0, 0), "no qubit x"),
        (lambda: chain(2).apply(CNOT, "q0", 0), "gate on q0"),
        (lambda: chain(2).apply(CNOT, ["q0", "q0"], 0), "different qubits"),
        (lambda: chain(2).idle("q0", -5), "5 ps before"),
        (lambda: chain(2).merge(Island("a", repeated(DARK, 2))), "copies"),
        (lambda: chain(2).merge(chain(1)), "once"),
        (lambda: chain(2).split(["q0", "q1"]), "one part is empty"),
        (lambda: QubitNoise(t1_s=1.0, t2_s=3.0), "at most 2 T1"),
        (lambda: QubitNoise(t2_star_us=0.0), "isn't positive"),
    ],
)
def test_misuse_is_named(wrong, word):
    with pytest.raises(MisuseError, match=word):
        wrong()
