"""Waveforms in the instrument's list: words of 14 bits and two markers, or real numbers with a marker byte."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulators.kit.scpi import ScpiError

__all__ = ["MAX_POINTS", "Waveform"]

MAX_POINTS = 32_400_000
"""[K] With the memory option."""

_ZERO_WORD = 8191
_REAL = np.dtype([("level", "<f4"), ("markers", "u1")])
_BYTES_A_POINT = {"INT": 2, "REAL": 5}


@dataclass(eq=False)
class Waveform:
    """One entry of the list; ``raw`` is what was sent and what is read back."""

    name: str
    kind: Literal["INT", "REAL"]
    raw: bytes
    stamp: str
    words: NDArray[np.uint16]
    """Shape (points,): DAC in bits 0..13, marker 1 in bit 14, marker 2 in bit 15; read-only."""

    @classmethod
    def new(cls, name: str, kind: Literal["INT", "REAL"], raw: bytes) -> Waveform:
        """A waveform of ``raw``; the stamp is now, UTC."""
        stamp = datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S")
        return cls(name, kind, raw, stamp, _words(kind, raw))

    @classmethod
    def flat(cls, name: str, kind: Literal["INT", "REAL"], points: int) -> Waveform:
        """0 V, markers low."""
        raw = np.full(points, _ZERO_WORD, "<u2").tobytes() if kind == "INT" else bytes(5 * points)
        return cls.new(name, kind, raw)

    @property
    def points(self) -> int:
        """How many samples it has."""
        return len(self.words)

    @property
    def bytes_a_point(self) -> int:
        """Of ``raw``."""
        return _BYTES_A_POINT[self.kind]

    def written(self, start: int, data: bytes) -> Waveform:
        """This waveform with ``data`` from point ``start`` on.

        Raises:
            ScpiError: ``data`` is no whole number of points, or reaches past the end.
        """
        size = self.bytes_a_point
        if len(data) % size:
            raise ScpiError(-161, f"{len(data)} bytes are no multiple of {size}")
        if start * size + len(data) > len(self.raw):
            raise ScpiError(-223, self.name)
        raw = bytearray(self.raw)
        raw[start * size : start * size + len(data)] = data
        return Waveform.new(self.name, self.kind, bytes(raw))

    def read(self, start: int, points: int) -> bytes:
        """The bytes of ``points`` samples from ``start`` on."""
        size = self.bytes_a_point
        return self.raw[start * size : (start + points) * size]


def _words(kind: str, raw: bytes) -> NDArray[np.uint16]:
    if kind == "INT":
        words: NDArray[np.uint16] = np.frombuffer(raw, "<u2").astype(np.uint16)
    else:
        points = np.frombuffer(raw, _REAL)
        dac = np.clip(np.rint(_ZERO_WORD * (1 + points["level"].astype(np.float64))), 0, 16383)
        # The marker byte has marker 1 in bit 6 and marker 2 in bit 7, where a word has bits 14 and 15.
        words = dac.astype(np.uint16) | (points["markers"] & np.uint16(0xC0)) * np.uint16(256)
    words.setflags(write=False)
    return words
