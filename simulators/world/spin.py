"""One node's spin under the operations that its AWG plays: the state before a pulse, and what a readout asks of it.

A readout is followed backwards: the operator "bright is found" at the readout light is carried through the
operations before it (Heisenberg picture), averaged over the quasi-static detuning. For two nodes the Born rule of the
joint state with the product of both operators is then exact, since each node has a detuning of its own. After a
readout the spin is bright or dark, so further readouts form a Markov chain.

Where an attempt has two optical pulses, each photon's number belongs to the field and not to the spin: `histories` keeps
the spin apart by the photon numbers of ket and bra, one detuning from the pump to the readout.

Approximations: a microwave pulse acts at its centre; readouts of one round that have no spin pumping in between see
independent detunings; readout light and spin-pump light leave no other trace than their jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, cos, exp, expm1, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from qnode.labfile import Spin
from simulators.world.rack import Excitation, Light, Operation, Rotation, Waveform

__all__ = ["SpinModel", "shifted"]

Complex = NDArray[np.complex128]

_GRID_REACH = 6.0
"""Standard deviations of detuning that the average covers."""
_GRID_MARGIN = 8.0
"""Sets the grid's step so that aliases of the average are below exp(-32)."""


class SpinModel:
    """The spin of one node, index 1 = bright.

    Args:
        spin: its numbers.
        carrier_hz: frequency of the microwave carrier above the transition. All turns are in the frame of the carrier.
    """

    def __init__(self, spin: Spin, carrier_hz: float = 0.0) -> None:
        self._spin = spin
        self._carrier_rad_s = 2 * pi * carrier_hz
        self._sigma_rad_s = sqrt(2) / (spin.t2_star_us * 1e-6)
        self._pumped = np.zeros((2, 2), dtype=np.complex128)
        index = 1 if spin.pumped_state == "bright" else 0
        self._pumped[index, index] = 1.0

    def before_pulse(self, waveform: Waveform) -> tuple[Complex, int]:
        """The spin right before the first optical pulse of a pass that starts with a spin of which nothing is known.

        The phase that the detuning gives between the last rotation and the pulse is left out: it commutes with the
        emission and belongs into `bright_operator` (its ``before_ps``), where an echo can refocus it.

        Returns:
            Density matrix (2, 2), and the time in ps from the last rotation (or 0) to the pulse.
        """
        pulse = waveform.excitation
        operations: Sequence[Operation] = waveform.operations
        if pulse is not None:
            operations = operations[: operations.index(pulse)]
        end_ps = pulse.at_ps if pulse is not None else waveform.start_ps(1)
        detuning, weight = self._grid(end_ps)
        rho = np.broadcast_to(np.eye(2, dtype=np.complex128) / 2, (detuning.size, 2, 2)).copy()
        at_ps = 0
        for operation in operations:
            self._idle(rho, operation.at_ps - at_ps, detuning)
            at_ps = operation.at_ps
            if isinstance(operation, Rotation):
                rho = operation.unitary @ rho @ operation.unitary.conj().T
            elif isinstance(operation, Light) and operation.name == "spin_pump":
                share = self._pump_share(operation)
                rho = (1 - share) * rho + share * self._pumped
                at_ps = operation.stop_ps
            elif isinstance(operation, Light):
                rho[:, 0, 1] = rho[:, 1, 0] = 0.0
                at_ps = operation.stop_ps
        last_is_rotation = bool(operations) and isinstance(operations[-1], Rotation)
        before_ps = end_ps - at_ps if last_is_rotation else 0
        self._idle(rho, end_ps - at_ps, np.zeros(detuning.size))
        return np.tensordot(weight, rho, axes=1), before_ps

    def bright_operator(self, operations: Sequence[Operation], readout_ps: int, before_ps: int = 0) -> Complex:
        """The operator whose expectation value is P(bright at the readout).

        Args:
            operations: between time 0 and the readout, in order; readout light among them is not allowed.
            readout_ps: start of the readout light.
            before_ps: time before 0 in which the detuning acted already (see `before_pulse`).

        Returns:
            (2, 2), Hermitian, on the state at time 0.
        """
        detuning, weight = self._grid(readout_ps + before_ps)
        effect = np.zeros((detuning.size, 2, 2), dtype=np.complex128)
        effect[:, 1, 1] = 1.0
        at_ps = readout_ps
        for operation in reversed(operations):
            end_ps = operation.stop_ps if isinstance(operation, Light) else operation.at_ps
            self._idle(effect, at_ps - end_ps, -detuning)
            at_ps = operation.at_ps
            if isinstance(operation, Rotation):
                effect = operation.unitary.conj().T @ effect @ operation.unitary
            elif isinstance(operation, Light):
                share = self._pump_share(operation)
                found = np.einsum("nij,ji->n", effect, self._pumped).real
                effect = (1 - share) * effect + share * found[:, np.newaxis, np.newaxis] * np.eye(2)
            else:
                # The photon that left knows the spin: what stays coherent is the overlap of its fields.
                effect[:, 0, 1] *= cos(operation.angle_rad / 2)
                effect[:, 1, 0] *= cos(operation.angle_rad / 2)
        self._idle(effect, at_ps, -detuning)
        phase = np.exp(1j * detuning * before_ps * 1e-12)
        effect[:, 0, 1] *= phase.conj()
        effect[:, 1, 0] *= phase
        return np.tensordot(weight, effect, axes=1)

    def histories(
        self, operations: Sequence[Operation], seen: tuple[int | None, int | None], stop_ps: int, frame_ps: int = 0
    ) -> Complex:
        """The spin of a pass by the photons that two of its optical pulses sent; it starts as `before_pulse` does.

        The light of every other pulse is lost, and what it tells of the spin with it.

        Args:
            operations: from the pass's start on, in order of time.
            seen: numbers, from 0, of the pulses whose photons are kept, in order of time; None: no such pulse.
            stop_ps: when the spin is looked at, from the pass's start.
            frame_ps: time of a further turn by the detuning alone; negative turns back.

        Returns:
            (2, 2, 2, 2, 2, 2): photons of the first pulse in ket and bra, of the second in ket and bra, then the
            spin's ket and bra. Summed over equal photon numbers it is the density matrix.
        """
        detuning, weight = self._grid(stop_ps + abs(frame_ps))
        rho = np.zeros((2, 2, 2, 2, detuning.size, 2, 2), dtype=np.complex128)
        rho[0, 0, 0, 0] = np.eye(2) / 2
        at_ps = pulses = 0
        for operation in operations:
            self._idle(rho, operation.at_ps - at_ps, detuning)
            at_ps = operation.at_ps
            if isinstance(operation, Rotation):
                rho = operation.unitary @ rho @ operation.unitary.conj().T
            elif isinstance(operation, Excitation):
                rho = _emitted(rho, operation.angle_rad, seen.index(pulses) if pulses in seen else None)
                pulses += 1
            elif operation.name == "spin_pump":
                share = self._pump_share(operation)
                trace = np.einsum("...ii->...", rho)[..., np.newaxis, np.newaxis]
                rho = (1 - share) * rho + share * trace * self._pumped
                at_ps = operation.stop_ps
            else:
                rho[..., 0, 1] = rho[..., 1, 0] = 0.0
                at_ps = operation.stop_ps
        self._idle(rho, stop_ps - at_ps, detuning)
        turn = np.exp(1j * detuning * frame_ps * 1e-12)
        rho[..., 0, 1] *= turn
        rho[..., 1, 0] *= turn.conj()
        return np.asarray(np.einsum("g,abcdgij->abcdij", weight, rho))

    def _pump_share(self, light: Light) -> float:
        return -expm1(-light.duration_ps * light.rate / (self._spin.pump_time_ns * 1e3))

    def _grid(self, duration_ps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Detunings (rad/s) of the spin against the carrier, and weights whose sum is the Gaussian average.

        Exact for phases up to this duration.
        """
        seconds = max(duration_ps, 0) * 1e-12
        step = 2 * pi / (seconds + _GRID_MARGIN / self._sigma_rad_s)
        half = ceil(_GRID_REACH * self._sigma_rad_s / step)
        detuning = step * np.arange(-half, half + 1, dtype=np.float64)
        weight: NDArray[np.float64] = np.exp(-0.5 * (detuning / self._sigma_rad_s) ** 2)
        return self._carrier_rad_s + detuning, weight / weight.sum()

    def _idle(self, matrix: Complex, duration_ps: int, detuning: NDArray[np.float64]) -> None:
        """Relax and dephase in place: populations to 1/2 with T1, coherence with T2 and the detuning's phase."""
        if duration_ps <= 0:
            return
        seconds = duration_ps * 1e-12
        kept = exp(-seconds / self._spin.t1_s)
        mean = (matrix[..., 0, 0] + matrix[..., 1, 1]) / 2
        matrix[..., 0, 0] = mean + (matrix[..., 0, 0] - mean) * kept
        matrix[..., 1, 1] = mean + (matrix[..., 1, 1] - mean) * kept
        factor = exp(-seconds / self._spin.t2_s) * np.exp(1j * detuning * seconds)
        matrix[..., 0, 1] *= factor
        matrix[..., 1, 0] *= factor.conj()


def _emitted(rho: Complex, angle_rad: float, slot: int | None) -> Complex:
    """What an optical pulse makes of `SpinModel.histories`; slot: whose photon numbers it fills, None: lost light."""
    # Amplitudes of no photon and of one, for the dark and the bright state.
    amplitude = np.array([[1.0, cos(angle_rad / 2)], [0.0, sin(angle_rad / 2)]])
    factor = np.einsum("mi,nj->mnij", amplitude, amplitude)
    if slot is None:
        return np.asarray(rho * (factor[0, 0] + factor[1, 1]))
    result = np.zeros_like(rho)
    for ket in range(2):
        for bra in range(2):
            if slot == 0:
                result[ket, bra] = rho[0, 0] * factor[ket, bra]
            else:
                result[:, :, ket, bra] = rho[:, :, 0, 0] * factor[ket, bra]
    return result


def shifted(operations: Sequence[Operation], by_ps: int) -> list[Operation]:
    """The same operations, later by ``by_ps``."""
    moved: list[Operation] = []
    for operation in operations:
        if isinstance(operation, Rotation):
            moved.append(Rotation(operation.at_ps + by_ps, operation.unitary))
        elif isinstance(operation, Excitation):
            moved.append(Excitation(operation.at_ps + by_ps, operation.angle_rad))
        else:
            moved.append(Light(operation.at_ps + by_ps, operation.stop_ps + by_ps, operation.name, operation.rate))
    return moved
