"""Rotations of a driven two-level system, sample by sample: the spin under microwaves, the emitter under a light pulse.

In the order (dark, bright) the generator of a drive of phase phi is cos(phi) X + sin(phi) Y; a drive whose frequency lies
above the transition turns the coherence rho[0, 1] by +detuning x time, in the frame that rotates with the drive.
"""

from __future__ import annotations

from math import asin, sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["detuned", "excited_rad", "resonant"]

Complex = NDArray[np.complex128]

_SCAN_POINTS = 65
"""Detunings that a scan is averaged over."""


def resonant(angles: Complex) -> Complex:
    """Product of rotations about cos(phase) X + sin(phase) Y, first sample first.

    Args:
        angles: shape (n,), each with the angle in rad as its size and the phase as its argument.

    Returns:
        (2, 2).
    """
    if np.ptp(np.angle(angles)) < 1e-12:
        return _rotation(complex(angles.sum()))
    unitary = np.eye(2, dtype=np.complex128)
    for angle in angles:
        unitary = _rotation(complex(angle)) @ unitary
    return unitary


def detuned(angles: Complex, turn_rad: float, centre: float) -> Complex:
    """The same for a drive off resonance, without the turn by the detuning before and after the pulse's centre.

    Args:
        angles: shape (n,), as for `resonant`.
        turn_rad: of the coherence in one sample.
        centre: of the pulse, in samples from its start.

    Returns:
        (2, 2): with the free turns before the centre and after it put back, it is the exact evolution.
    """
    return _turn(-(angles.size - centre) * turn_rad) @ _exact(angles, turn_rad) @ _turn(-centre * turn_rad)


def excited_rad(angles: NDArray[np.float64], turn_rad: float, scan_rad: float = 0.0) -> float:
    """The angle of a resonant pulse that excites as often as this one does.

    The phase that a detuned pulse leaves on the bright state is left out.

    Args:
        angles: shape (n,), in rad per sample.
        turn_rad: by the detuning, in one sample.
        scan_rad: peak to peak, where the detuning is scanned around that.
    """
    points = np.linspace(-0.5, 0.5, _SCAN_POINTS) if scan_rad else np.zeros(1)
    turns = (turn_rad + scan_rad * points).tolist()
    excited = [abs(_exact(angles.astype(np.complex128), turn)[1, 0]) ** 2 for turn in turns]
    return 2 * asin(sqrt(min(1.0, float(np.mean(excited)))))


def _exact(angles: Complex, turn_rad: float) -> Complex:
    """Product of detuned rotations; samples that are alike are one rotation."""
    edges = np.flatnonzero(np.diff(angles)) + 1
    starts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [angles.size]])
    unitary = np.eye(2, dtype=np.complex128)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        unitary = _rotation(complex(angles[start]) * (stop - start), -turn_rad * (stop - start)) @ unitary
    return unitary


def _turn(angle_rad: float) -> Complex:
    """The free turn of the coherence rho[0, 1] by an angle."""
    return np.diag(np.exp(np.array([0.5j, -0.5j]) * angle_rad))


def _rotation(angle: complex, about_z: float = 0.0) -> Complex:
    """exp(-i/2 (Re(angle) X + Im(angle) Y + about_z Z))."""
    size = abs(angle) if about_z == 0 else sqrt(abs(angle) ** 2 + about_z**2)
    if size == 0:
        return np.eye(2, dtype=np.complex128)
    axis, tilt = angle / size, about_z / size
    cos, sin = np.cos(size / 2), np.sin(size / 2)
    return np.array(
        [[cos - 1j * sin * tilt, -1j * sin * axis.conjugate()], [-1j * sin * axis, cos + 1j * sin * tilt]]
    )
