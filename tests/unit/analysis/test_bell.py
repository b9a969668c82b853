from __future__ import annotations

import math

import numpy as np
import pytest
import qutip

from qnode.analysis import BELL_SIGNS, chsh_fixed, chsh_maximum, correlation_matrix
from qnode.errors import MisuseError


def ket(bell: str) -> qutip.Qobj:
    zero, one = qutip.basis(2, 0), qutip.basis(2, 1)
    first, second = (
        (qutip.tensor(zero, one), qutip.tensor(one, zero))
        if bell.startswith("psi")
        else (qutip.tensor(zero, zero), qutip.tensor(one, one))
    )
    return (first + (1 if bell.endswith("+") else -1) * second).unit()


@pytest.mark.parametrize("bell", ["psi+", "psi-", "phi+", "phi-"])
def test_correlators_of_the_bell_states(bell: str) -> None:
    matrix = correlation_matrix(qutip.ket2dm(ket(bell)).full())
    signs = BELL_SIGNS[bell]
    assert matrix == pytest.approx(np.diag([signs["XX"], signs["YY"], signs["ZZ"]]))


def test_correlation_matrix_of_a_random_state() -> None:
    rho = qutip.rand_dm([2, 2], seed=3)
    paulis = (qutip.sigmax(), qutip.sigmay(), qutip.sigmaz())
    expected = [[qutip.expect(qutip.tensor(a, b), rho) for b in paulis] for a in paulis]
    assert correlation_matrix(rho.full()) == pytest.approx(np.array(expected))


def test_chsh_of_a_bell_state_is_tsirelsons() -> None:
    assert chsh_maximum(np.diag([1, 1, -1])) == pytest.approx(2 * math.sqrt(2))
    assert chsh_fixed(-1, 1) == pytest.approx(2 * math.sqrt(2))


def test_chsh_maximum_of_a_werner_state() -> None:
    # F 0.8: S = 2 sqrt2 (4F - 1)/3
    correlation = (4 * 0.8 - 1) / 3
    assert chsh_maximum(-correlation * np.eye(3)) == pytest.approx(2 * math.sqrt(2) * correlation)


def test_chsh_maximum_is_reached_by_settings() -> None:
    """The best of many settings in the plane of the two largest correlators comes to Horodecki's value from below."""
    c1, c2 = 0.9, 0.6
    angles = np.linspace(0, math.pi, 181)
    best = max(abs(c1 * (math.cos(t) + math.cos(t))) + abs(c2 * (math.sin(t) + math.sin(t))) for t in angles)
    assert chsh_maximum(np.diag([c2, 0.1, c1])) == pytest.approx(best, rel=1e-4)


def test_another_shape_is_refused() -> None:
    with pytest.raises(MisuseError, match="shape"):
        correlation_matrix(np.eye(2))
