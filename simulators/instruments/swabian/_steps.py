"""Pulses as they come over the wire, and as the outputs play them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DARK", "MAX_STEPS", "OutputState", "Steps", "decode_pulses"]

MAX_STEPS = 2_000_000
"""What the memory holds."""

_FULL_SCALE = 0x7FFF
"""1 V at an analog output."""

_TICK_PS = 1000

_WIRE = np.dtype([("ticks", "<u4"), ("mask", "u1"), ("a0", "<i2"), ("a1", "<i2")])


@dataclass(frozen=True)
class OutputState:
    """What all outputs show: bit n of ``digital`` is output dn, the analog ones are in volt."""

    digital: int
    analog_v: tuple[float, float]

    @classmethod
    def from_wire(cls, mask: int, a0: int, a1: int) -> OutputState:
        """From the mask and two words of 0x7fff a volt."""
        return cls(mask, (a0 / _FULL_SCALE, a1 / _FULL_SCALE))


DARK = OutputState(0, (0.0, 0.0))


@dataclass(frozen=True, eq=False)
class Steps:
    """Run-length steps: durations (n,), digital masks (n,), analog voltages (n, 2); read-only."""

    duration_ps: NDArray[np.int64]
    digital: NDArray[np.uint8]
    analog_v: NDArray[np.float64]

    @classmethod
    def none(cls) -> Steps:
        """No step at all."""
        return decode_pulses(b"")


def decode_pulses(data: bytes) -> Steps:
    """Steps of ``data``, 9 bytes each; steps of no duration are left out.

    Such steps carry the breakpoints of the maker's client, which this simulator does not stop at.

    Raises:
        ValueError: ``data`` is no whole number of steps, or more than `MAX_STEPS`.
    """
    if len(data) % _WIRE.itemsize:
        raise ValueError(f"{len(data)} bytes of pulses are no multiple of {_WIRE.itemsize}")
    pulses = np.frombuffer(data, dtype=_WIRE)
    if len(pulses) > MAX_STEPS:
        raise ValueError(f"{len(pulses)} steps, the memory holds {MAX_STEPS}")
    pulses = pulses[pulses["ticks"] > 0]
    steps = Steps(
        duration_ps=pulses["ticks"].astype(np.int64) * _TICK_PS,
        digital=pulses["mask"].copy(),
        analog_v=np.stack([pulses["a0"], pulses["a1"]], axis=1) / _FULL_SCALE,
    )
    for array in (steps.duration_ps, steps.digital, steps.analog_v):
        array.setflags(write=False)
    return steps
