"""Two-qubit states and the numbers that are read from them: correlation matrix, fidelity, CHSH values."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qnode.errors import MisuseError

__all__ = ["BELL_SIGNS", "LABELS", "chsh_fixed", "chsh_maximum", "correlation_matrix"]

LABELS = ("00", "01", "10", "11")
"""Basis of two qubits, first digit the first node; 1 = bright."""

BELL_SIGNS = {
    "psi+": {"XX": 1, "YY": 1, "ZZ": -1},
    "psi-": {"XX": -1, "YY": -1, "ZZ": -1},
    "phi+": {"XX": 1, "YY": -1, "ZZ": 1},
    "phi-": {"XX": -1, "YY": 1, "ZZ": 1},
}
"""Correlators of the four Bell states."""

_PAULIS = np.array(
    [[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]],
    dtype=np.complex128,
)


def correlation_matrix(rho: ArrayLike) -> NDArray[np.float64]:
    """T_ij = tr(rho sigma_i x sigma_j) for i, j in X, Y, Z; Z|0> = |0>.

    Args:
        rho: shape (4, 4), basis "00", "01", "10", "11".

    Returns:
        Shape (3, 3).

    Raises:
        MisuseError: another shape.
    """
    matrix = np.asarray(rho, np.complex128)
    if matrix.shape != (4, 4):
        raise MisuseError(f"a two-qubit density matrix of shape {matrix.shape}", hint="give shape (4, 4)")
    return np.asarray(
        np.einsum("abcd,ica,jdb->ij", matrix.reshape(2, 2, 2, 2), _PAULIS, _PAULIS).real, dtype=np.float64
    )


def chsh_maximum(correlations: ArrayLike) -> float:
    """The largest CHSH value over all settings: 2 sqrt(u1 + u2), the two largest eigenvalues of T^T T.

    Source: Horodecki, Horodecki, Horodecki, Phys. Lett. A 200, 340 (1995).

    Args:
        correlations: T, shape (3, 3).
    """
    singular = np.linalg.svd(np.asarray(correlations, np.float64), compute_uv=False)
    return float(2 * math.hypot(singular[0], singular[1]))


def chsh_fixed(c_zz: float, c_xx: float) -> float:
    """The CHSH value for the settings Z, X against (Z +- X)/sqrt2: sqrt2 (|C_zz| + |C_xx|)."""
    return math.sqrt(2) * (abs(c_zz) + abs(c_xx))
