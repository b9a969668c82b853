"""Quantum states in islands: few named qubits, a batch of density matrices, and when each qubit was last touched.

Idling is lazy: every operation names its lab time and first lets the qubits that it touches age since they were last
touched. Index 1 of a qubit is bright, 0 is dark; the first qubit of an island is the most significant digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qnode.errors import MisuseError

__all__ = ["MAX_QUBITS", "Island", "QubitNoise", "rotation"]

Complex = NDArray[np.complex128]
Float = NDArray[np.float64]

MAX_QUBITS = 10
"""A density matrix of ten qubits takes 16 MiB."""

_CHUNK_ELEMENTS = 1 << 15
"""Complex numbers worked on at once: half a mebibyte, so that the passes of one operation stay in the cache."""


@dataclass(frozen=True)
class QubitNoise:
    """How an idle qubit ages.

    Args:
        t1_s: populations relax towards 1/2 as exp(-t/T1).
        t2_star_us: a detuning that stays as it is, Gaussian over the batch with sqrt(2)/T2*, so that the mean
            coherence is exp(-(t/T2*)^2) and an echo brings it back.
        t2_s: coherence exp(-t/T2), relaxation included, that no echo brings back.
    """

    t1_s: float = inf
    t2_star_us: float = inf
    t2_s: float = inf

    def __post_init__(self) -> None:
        if min(self.t1_s, self.t2_star_us, self.t2_s) <= 0:
            raise MisuseError(f"qubit noise: a time that isn't positive in {self}", hint="leave out what doesn't act")
        if self.t2_s > 2 * self.t1_s:
            raise MisuseError(
                f"qubit noise: T2 of {self.t2_s} s with a T1 of {self.t1_s} s", hint="T2 is at most 2 T1"
            )


def rotation(angle_rad: ArrayLike, axis_phase_rad: ArrayLike) -> Complex:
    """Rotation about cos(phase) X + sin(phase) Y: I drives X, Q drives Y.

    Args:
        angle_rad: scalar or (batch,).
        axis_phase_rad: scalar or (batch,).

    Returns:
        (2, 2) or (batch, 2, 2): exp(-i angle/2 (cos(phase) X + sin(phase) Y)).
    """
    half, phase = np.broadcast_arrays(np.asarray(angle_rad, dtype=np.float64) / 2, axis_phase_rad)
    unitary = np.empty((*half.shape, 2, 2), dtype=np.complex128)
    unitary[..., 0, 0] = unitary[..., 1, 1] = np.cos(half)
    unitary[..., 0, 1] = -1j * np.exp(-1j * phase) * np.sin(half)
    unitary[..., 1, 0] = -1j * np.exp(1j * phase) * np.sin(half)
    return unitary


class Island:
    """Qubits that may be entangled with each other, with nothing else, in `batch` independent copies.

    Args:
        names: the qubits, most significant first.
        rho: (batch, 2^n, 2^n) density matrices; they are copied.
        at_ps: lab time of this state; scalar, or (batch,) when the copies were made at different times.
        noise: per qubit; a qubit left out is ideal.
        detuning_rad_s: per qubit, (batch,) static detunings, from `draw_detuning`; a qubit left out has none.

    Raises:
        MisuseError: names twice, more than `MAX_QUBITS`, or a shape that doesn't fit.
    """

    def __init__(
        self,
        names: Sequence[str],
        rho: Complex,
        at_ps: ArrayLike = 0,
        *,
        noise: dict[str, QubitNoise] | None = None,
        detuning_rad_s: dict[str, Float] | None = None,
    ) -> None:
        _check_names(names)
        dimension = 1 << len(names)
        if np.ndim(rho) != 3 or np.shape(rho)[1:] != (dimension, dimension):
            raise MisuseError(
                f"island {', '.join(names)}: density matrices have the shape {np.shape(rho)}",
                hint=f"pass (batch, {dimension}, {dimension})",
            )
        # Copies on the last axis: every operation then runs along contiguous memory, however few the qubits.
        self._rho: Complex = np.array(np.moveaxis(rho, 0, -1), dtype=np.complex128, order="C")
        self.names: tuple[str, ...] = tuple(names)
        self.touched_ps: dict[str, NDArray[np.int64]] = dict.fromkeys(names, np.asarray(at_ps, dtype=np.int64))
        self.noise: dict[str, QubitNoise] = {name: (noise or {}).get(name, QubitNoise()) for name in names}
        self.detuning_rad_s: dict[str, Float] = {
            name: np.asarray(value, dtype=np.float64) for name, value in (detuning_rad_s or {}).items()
        }

    @property
    def batch(self) -> int:
        """Number of copies."""
        return int(self._rho.shape[-1])

    @property
    def rho(self) -> Complex:
        """(batch, 2^n, 2^n) density matrices, a view."""
        return np.moveaxis(self._rho, -1, 0)

    def draw_detuning(self, name: str, rng: np.random.Generator) -> None:
        """Give a qubit one static detuning per copy: Gaussian, standard deviation sqrt(2)/T2*."""
        self._index(name)
        spread = sqrt(2) / (self.noise[name].t2_star_us * 1e-6)
        self.detuning_rad_s[name] = spread * rng.standard_normal(self.batch)

    # Time

    def idle(self, name: str, at_ps: ArrayLike) -> None:
        """Let one qubit age up to a lab time, scalar or (batch,).

        Raises:
            MisuseError: a time before the qubit was last touched.
        """
        index = self._index(name)
        now = np.asarray(at_ps, dtype=np.int64)
        elapsed_ps = now - self.touched_ps[name]
        if elapsed_ps.size and elapsed_ps.min() < 0:
            raise MisuseError(
                f"qubit {name}: an operation {-int(elapsed_ps.min())} ps before the last one",
                hint="apply operations in the order of lab time",
            )
        self.touched_ps[name] = now
        if not elapsed_ps.any():
            return
        seconds = elapsed_ps * 1e-12
        noise = self.noise[name]
        coherence: NDArray[Any] = np.exp(-seconds / noise.t2_s)
        if name in self.detuning_rad_s:
            coherence = coherence * np.exp(1j * self.detuning_rad_s[name] * seconds)
        # What is swapped between the populations; T1 of hours leaves nothing to do.
        swapped: NDArray[Any] = -np.expm1(-seconds / noise.t1_s) / 2
        relaxes = bool(np.any(swapped > 0))
        for rows in self._chunks():
            view = self._view(rows, index)
            factor = _cut(coherence, rows)
            view[:, 1, :, :, 0] *= factor
            view[:, 0, :, :, 1] *= np.conj(factor)
            if relaxes:
                flow = (view[:, 1, :, :, 1] - view[:, 0, :, :, 0]) * _cut(swapped, rows)
                view[:, 1, :, :, 1] -= flow
                view[:, 0, :, :, 0] += flow

    # Gates

    def apply(self, unitary: Complex, names: Sequence[str] | str, at_ps: ArrayLike) -> None:
        """Apply a unitary to one or two qubits at a lab time.

        Args:
            unitary: (2, 2) or (4, 4), or a batch of them; of two qubits the first named is the more significant.
            names: the qubit or qubits.
            at_ps: scalar or (batch,).

        Raises:
            MisuseError: an unknown qubit, the same twice, a shape that doesn't fit, or a time in the qubit's past.
        """
        targets = (names,) if isinstance(names, str) else tuple(names)
        indices = [self._index(name) for name in targets]
        dimension = 1 << len(targets)
        shapes = ((dimension, dimension), (self.batch, dimension, dimension))
        if len(set(targets)) != len(targets) or unitary.shape not in shapes:
            raise MisuseError(
                f"gate on {', '.join(targets)}: a unitary of the shape {unitary.shape}",
                hint=f"pass {shapes[0]} or {shapes[1]}, for different qubits",
            )
        for name in targets:
            self.idle(name, at_ps)
        qubits = len(self.names)
        for rows in self._chunks():
            chunk = self._rho[..., rows]
            matrix = unitary[rows] if unitary.ndim == 3 else unitary
            tensor = chunk.reshape((2,) * (2 * qubits) + (-1,))
            half = _contract(tensor, matrix, indices)
            whole = _contract(half, matrix.conj(), [qubits + index for index in indices])
            chunk[...] = whole.reshape(chunk.shape)

    def rotate(self, name: str, angle_rad: ArrayLike, axis_phase_rad: ArrayLike, at_ps: ArrayLike) -> None:
        """Rotate one qubit about cos(phase) X + sin(phase) Y; angle and phase scalar or (batch,)."""
        self.apply(rotation(angle_rad, axis_phase_rad), name, at_ps)

    # Measurement

    def measure(self, name: str, uniform: Float, at_ps: ArrayLike) -> NDArray[np.uint8]:
        """Measure one qubit in Z by Born's rule; the qubit stays, in the state that was found.

        Args:
            name: the qubit.
            uniform: (batch,) uniform numbers in [0, 1); bright is found where one is below P(bright).
            at_ps: scalar or (batch,).

        Returns:
            (batch,): 1 bright, 0 dark.
        """
        index = self._index(name)
        self.idle(name, at_ps)
        outcome = np.empty(self.batch, dtype=np.uint8)
        for rows in self._chunks():
            view = self._view(rows, index)
            found = uniform[rows] < self._bright(view)
            outcome[rows] = found
            view[:, 1, :, :, 0] = 0
            view[:, 0, :, :, 1] = 0
            view[:, 1, :, :, 1] *= found
            view[:, 0, :, :, 0] *= ~found
            chunk = self._rho[..., rows]
            chunk /= np.einsum("iin->n", chunk).real
        return outcome

    def bright_probability(self, name: str, at_ps: ArrayLike) -> Float:
        """P(bright) of one qubit, (batch,); nothing collapses."""
        index = self._index(name)
        self.idle(name, at_ps)
        result = np.empty(self.batch)
        for rows in self._chunks():
            result[rows] = self._bright(self._view(rows, index))
        return result

    def reset(self, name: str, state: Complex, at_ps: ArrayLike) -> None:
        """Put one qubit into a (2, 2) state and cut what entangled it with the others."""
        index = self._index(name)
        self.idle(name, at_ps)
        for rows in self._chunks():
            view = self._view(rows, index)
            others = view[:, 0, :, :, 0] + view[:, 1, :, :, 1]
            for ket, bra in product(range(2), range(2)):
                view[:, ket, :, :, bra] = others * state[ket, bra]

    # Islands

    def merge(self, other: Island) -> Island:
        """One island of both, this one's qubits first.

        Raises:
            MisuseError: the same qubit in both, different batches, or more than `MAX_QUBITS`.
        """
        names = (*self.names, *other.names)
        _check_names(names)
        if self.batch != other.batch:
            raise MisuseError(
                f"merge of {', '.join(names)}: one island has {self.batch} copies, the other {other.batch}",
                hint="merge islands of the same copies",
            )
        dimension = 1 << len(names)
        rho = np.einsum("ijn,kln->nikjl", self._rho, other._rho).reshape(self.batch, dimension, dimension)
        return self._derived(names, rho, self, other)

    def split(self, names: Sequence[str]) -> tuple[Island, Island]:
        """Cut the island in two: the named qubits, and the rest.

        Raises:
            MisuseError: the two parts are not independent; a measurement or a reset makes them so.
        """
        kept = [self._index(name) for name in names]
        rest = [index for index in range(len(self.names)) if index not in kept]
        if not kept or not rest:
            raise MisuseError(f"split of {', '.join(self.names)}: one part is empty", hint="name some of the qubits")
        parts = [self._derived([self.names[i] for i in part], self._reduced(part), self) for part in (kept, rest)]
        product_state = parts[0].merge(parts[1]).rho
        if np.abs(product_state - self._reduced([*kept, *rest])).max(initial=0.0) > 1e-9:
            raise MisuseError(
                f"split of {', '.join(names)} from {', '.join(parts[1].names)}: they are correlated",
                hint="measure or reset one part first",
            )
        return parts[0], parts[1]

    def _derived(self, names: Sequence[str], rho: Complex, *parents: Island) -> Island:
        """An island that takes its qubits' times and noise from its parents."""
        island = Island(names, rho)
        for parent in parents:
            for name in parent.names:
                if name in island.noise:
                    island.touched_ps[name] = parent.touched_ps[name]
                    island.noise[name] = parent.noise[name]
                    if name in parent.detuning_rad_s:
                        island.detuning_rad_s[name] = parent.detuning_rad_s[name]
        return island

    def _reduced(self, kept: Sequence[int]) -> Complex:
        """Density matrices of some qubits in the order given, the others traced out."""
        qubits = len(self.names)
        dimension = 1 << len(kept)
        tensor = self._rho.reshape((2,) * (2 * qubits) + (self.batch,))
        order = [*kept, *(i for i in range(qubits) if i not in kept)]
        ordered = tensor.transpose([*order, *(qubits + i for i in order), 2 * qubits])
        traced = 1 << (qubits - len(kept))
        grouped = ordered.reshape(dimension, traced, dimension, traced, self.batch)
        return np.asarray(np.einsum("itjtn->nij", grouped))

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise MisuseError(f"no qubit {name} in the island {', '.join(self.names)}", hint="merge its island first")
        return self.names.index(name)

    def _chunks(self) -> Iterator[slice]:
        """Slices of copies that are worked on at once."""
        step = max(1, _CHUNK_ELEMENTS // self._rho.shape[0] ** 2)
        for start in range(0, self.batch, step):
            yield slice(start, min(start + step, self.batch))

    def _view(self, rows: slice, index: int) -> Complex:
        """(left, 2, right, left, 2, right, rows): the qubit's ket and bra index on axes of their own."""
        left, right = 1 << index, 1 << (len(self.names) - 1 - index)
        return self._rho.reshape(left, 2, right, left, 2, right, self.batch)[..., rows]

    def _bright(self, view: Complex) -> Float:
        """P(bright) of the qubit whose axes `_view` has set apart, (rows,)."""
        return np.asarray(np.einsum("lrlrn->n", view[:, 1, :, :, 1]).real)


def _check_names(names: Sequence[str]) -> None:
    if len(names) > MAX_QUBITS:
        raise MisuseError(
            f"an island of {len(names)} qubits ({', '.join(names)}): {MAX_QUBITS} is the most",
            hint="measure or reset qubits, so that their island splits",
        )
    if not names or len(set(names)) != len(names):
        raise MisuseError(f"island of the qubits [{', '.join(names)}]", hint="name each qubit once, and at least one")


def _cut(value: NDArray[Any], rows: slice) -> NDArray[Any]:
    """Values per copy cut to the rows; a scalar as it is."""
    return value[rows] if value.ndim else value


def _contract(tensor: Complex, matrix: Complex, axes: Sequence[int]) -> Complex:
    """Multiply a matrix, or one per copy, onto some two-valued axes of a tensor whose last axis counts copies."""
    result = np.empty_like(tensor)
    digits = list(product(range(2), repeat=len(axes)))
    for row, target in enumerate(digits):
        total: Complex | None = None
        for column, source in enumerate(digits):
            factor = matrix[..., row, column]
            if not factor.any():
                continue
            piece = tensor[_at(axes, source, tensor.ndim)]
            total = piece * factor if total is None else total + piece * factor
        result[_at(axes, target, tensor.ndim)] = 0 if total is None else total
    return result


def _at(axes: Sequence[int], values: Sequence[int], ndim: int) -> tuple[int | slice, ...]:
    """An index with fixed values on some axes and everything on the others."""
    index: list[int | slice] = [slice(None)] * ndim
    for axis, value in zip(axes, values, strict=True):
        index[axis] = value
    return tuple(index)
