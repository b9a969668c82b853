"""Flat formats, reading: records without a frame, one after the other.

========================  =====================================================================  ================
name                      record                                                                 source
========================  =====================================================================  ================
``idq_u64``               u64 LE picoseconds, one file a channel (``timestamps_C1.bin``)         vendor's samples
``idq_u64_ref``           pairs of u64 LE: reference index, picoseconds; one file a channel      vendor's samples
``idq_ascii``             one integer a line, picoseconds, one file a channel                    vendor's samples
``sfifteen_tdc1``         u32 LE words, see `qnode.tags.decoder`                                 vendor's driver
``qcrypto_a1``            u64 LE: time in 1/256 ns (54 bits), 5 bits 0, dummy bit, mask of 1..4  qcrypto, fpfind
``qcrypto_a1_legacy``     the same, upper 32 bits first                                          qcrypto, fpfind
``qutag_binary``          40 bytes of header, then u64 LE picoseconds, u16 channel               not checked
========================  =====================================================================  ================

qcrypto's unit is 3.90625 ps; its times wrap after 19.5 h, which is undone. A quTAG's start input (0)
becomes 200. Times of ``idq_u64_ref`` count from their reference pulse: t = index x period + picoseconds.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._arrays import MAX_PS, as_int64
from qnode.tags._block import TagBlock
from qnode.tags._decode import Decoder, decoder

__all__ = ["A1_WRAP", "FLAT_FORMATS", "FlatDecoder", "channel_of_name", "flat_decoder"]

FLAT_FORMATS = (
    "idq_u64",
    "idq_u64_ref",
    "idq_ascii",
    "sfifteen_tdc1",
    "qcrypto_a1",
    "qcrypto_a1_legacy",
    "qutag_binary",
)
A1_WRAP = 1 << 54
QUTAG_HEADER = 40
QUTAG_RECORD = np.dtype([("t_ps", "<u8"), ("channel", "<u2")])


class FlatDecoder(Protocol):
    """Bytes to tags; keeps what is cut inside a record for the next bytes."""

    @property
    def cut_bytes(self) -> int:
        """Bytes that belong to no whole record, so far; after the last call, what is missing from the file's end."""

    def __call__(self, data: bytes, last: bool) -> TagBlock:
        """Decode the next bytes; ``last`` when no more will come."""


def channel_of_name(path: Path) -> int:
    """The channel in a name like ``timestamps_C3.bin``.

    Raises:
        MisuseError: there is none.
    """
    found = re.search(r"_C(\d+)(?!\d)", path.name)
    if not found or not 1 <= int(found[1]) <= 255:
        raise MisuseError(f"{path}: the name says no channel", hint="call it ..._C1.bin, or pass the channel")
    return int(found[1])


def flat_decoder(name: str, path: Path, channel: int | None, ref_period_ps: int | None = None) -> FlatDecoder:
    """A fresh decoder of a flat format.

    Raises:
        MisuseError: an unknown name, or a format of one channel a file whose channel is not known, or one with
            references whose period is not known.
    """
    if name == "sfifteen_tdc1":
        return _Streamed(name, 0)
    if name == "idq_u64":
        return _Streamed(name, channel or channel_of_name(path))
    if name == "idq_u64_ref":
        return _Referenced(path, channel or channel_of_name(path), ref_period_ps)
    if name == "idq_ascii":
        return _Ascii(path, channel or channel_of_name(path))
    if name in ("qcrypto_a1", "qcrypto_a1_legacy"):
        return _A1(legacy=name.endswith("legacy"))
    if name == "qutag_binary":
        return _Qutag()
    raise MisuseError(f"unknown tag format {name!r}", hint="known: " + ", ".join(FLAT_FORMATS))


class _Streamed:
    """A format that instruments also send: `qnode.tags.decoder` reads it."""

    def __init__(self, name: str, channel: int) -> None:
        self._stream: Decoder[Any] = decoder(name)
        self._channel = channel

    @property
    def cut_bytes(self) -> int:
        return self._stream.cut_bytes

    def __call__(self, data: bytes, last: bool) -> TagBlock:
        block: TagBlock = self._stream.feed(data, self._channel)
        return TagBlock.concat([block, self._stream.finish()]) if last else block


class _Referenced:
    def __init__(self, path: Path, channel: int, period_ps: int | None) -> None:
        if period_ps is None or period_ps < 1:
            raise MisuseError(
                f"{path}: idq_u64_ref counts from reference pulses, whose period is {period_ps or 'not given'}",
                hint="pass ref_period_ps (--ref-period-ps), picoseconds from pulse to pulse",
            )
        self._path, self._channel, self._period_ps = path, channel, period_ps
        self._stream = decoder("idq_u64_ref")

    @property
    def cut_bytes(self) -> int:
        return self._stream.cut_bytes

    def __call__(self, data: bytes, last: bool) -> TagBlock:
        block = self._stream.feed(data, self._channel)
        if last:
            self._stream.finish()
        if len(block) and max(int(block.ref.max()) * self._period_ps, int(block.t_ps.max())) > MAX_PS:
            raise MisuseError(
                f"{self._path}: reference {block.ref.max()} x {self._period_ps} ps is outside +-2**61 ps (26.7 days)",
                hint="is the period right, and is this a file with references?",
            )
        return TagBlock(block.ref * self._period_ps + block.t_ps, block.channel)


class _Ascii:
    def __init__(self, path: Path, channel: int) -> None:
        self._path, self._channel = path, channel
        self._rest = b""
        self._line = 1

    @property
    def cut_bytes(self) -> int:
        return len(self._rest)

    def __call__(self, data: bytes, last: bool) -> TagBlock:
        lines = (self._rest + data).split(b"\n")
        # A last line without its end may have lost digits: it is no whole record.
        self._rest = lines.pop()
        numbers = []
        for line in lines:
            text = line.strip()
            if text and not text.startswith(b"#"):
                try:
                    numbers.append(int(text))
                except ValueError:
                    raise MisuseError(
                        f"{self._path}:{self._line}: {text[:40]!r} is no integer", hint="picoseconds, one a line"
                    ) from None
            self._line += 1
        if numbers and max(map(abs, numbers)) > MAX_PS:
            raise MisuseError(f"{self._path}: a time before line {self._line} is outside +-2**61 ps (26.7 days)")
        return TagBlock(as_int64("t_ps", numbers), np.full(len(numbers), self._channel, np.uint8))


class _A1:
    def __init__(self, *, legacy: bool) -> None:
        self._legacy = legacy
        self._rest = b""
        self._last = 0
        self._wraps = 0

    @property
    def cut_bytes(self) -> int:
        return len(self._rest)

    def __call__(self, data: bytes, last: bool) -> TagBlock:
        buffer = self._rest + data
        whole = len(buffer) // 8 * 8
        self._rest = buffer[whole:]
        halves = np.frombuffer(buffer, "<u4", whole // 4).reshape(-1, 2).astype(np.uint64)
        low, high = (1, 0) if self._legacy else (0, 1)
        word = halves[:, high] << np.uint64(32) | halves[:, low]
        time = (word >> np.uint64(10)).astype(np.int64)
        if not time.size:
            return TagBlock.from_arrays([], [])
        wraps = self._wraps + np.cumsum(np.diff(time, prepend=self._last) < -(A1_WRAP >> 1))
        self._last, self._wraps = int(time[-1]), int(wraps[-1])
        # 1/256 ns = 125/32 ps; a wrap is a whole number of picoseconds, so that nothing overflows
        t_ps = wraps * (A1_WRAP * 125 // 32) + (time * 125 + 16 >> 5)
        bits = (word[:, None] >> np.arange(4, dtype=np.uint64)) & np.uint64(1)
        bits[(word & np.uint64(0x10)) != 0] = 0
        row, column = np.nonzero(bits)
        return TagBlock(t_ps[row], (column + 1).astype(np.uint8))


class _Qutag:
    def __init__(self) -> None:
        self._rest = b""
        self._skip = QUTAG_HEADER

    @property
    def cut_bytes(self) -> int:
        return len(self._rest) + (QUTAG_HEADER - self._skip if self._skip else 0)

    def __call__(self, data: bytes, last: bool) -> TagBlock:
        buffer = self._rest + data
        skipped = min(self._skip, len(buffer))
        self._skip -= skipped
        buffer = buffer[skipped:]
        whole = len(buffer) // QUTAG_RECORD.itemsize
        self._rest = buffer[whole * QUTAG_RECORD.itemsize :]
        records = np.frombuffer(buffer, QUTAG_RECORD, whole)
        channel = np.where(records["channel"] == 0, 200, records["channel"])
        return TagBlock.from_arrays(records["t_ps"], channel)
