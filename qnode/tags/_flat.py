"""Flat formats: records without a frame, one after the other.

========================  =====================================================================  ================
name                      record                                                                 source
========================  =====================================================================  ================
``idq_u64``               u64 LE picoseconds, one file a channel (``timestamps_C1.bin``)         vendor's samples
``idq_ascii``             one integer a line, picoseconds, one file a channel                    vendor's samples
``sfifteen_tdc1``         u32 LE words, see `qnode.tags.decoder`                                 vendor's driver
``qcrypto_a1``            u64 LE: time in 1/256 ns (54 bits), 5 bits 0, dummy bit, mask of 1..4  qcrypto, fpfind
``qcrypto_a1_legacy``     the same, upper 32 bits first                                          qcrypto, fpfind
``qutag_binary``          40 bytes of header, then u64 LE picoseconds, u16 channel               not checked
========================  =====================================================================  ================

qcrypto's unit is 3.90625 ps; its times wrap after 19.5 h, which is undone. A quTAG's start input (0)
becomes 200.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64
from qnode.tags._block import TagBlock
from qnode.tags._decode import decoder

__all__ = ["FLAT_FORMATS", "FLAT_WRITERS", "FlatDecoder", "channel_of_name", "flat_decoder"]

FlatDecoder = Callable[[bytes, bool], TagBlock]
"""(bytes, is this the end?) -> tags; keeps what is cut inside a record."""

FLAT_FORMATS = ("idq_u64", "idq_ascii", "sfifteen_tdc1", "qcrypto_a1", "qcrypto_a1_legacy", "qutag_binary")
A1_WRAP = 1 << 54
QUTAG_HEADER = 40
QUTAG_RECORD = np.dtype([("t_ps", "<u8"), ("channel", "<u2")])


def channel_of_name(path: Path) -> int:
    """The channel in a name like ``timestamps_C3.bin``.

    Raises:
        MisuseError: there is none.
    """
    found = re.search(r"_C(\d+)(?!\d)", path.name)
    if not found or not 1 <= int(found[1]) <= 255:
        raise MisuseError(f"{path}: the name says no channel", hint="call it ..._C1.bin, or pass the channel")
    return int(found[1])


def flat_decoder(name: str, path: Path, channel: int | None) -> FlatDecoder:
    """A fresh decoder of a flat format.

    Raises:
        MisuseError: an unknown name, or a format of one channel a file whose channel is not known.
    """
    if name == "sfifteen_tdc1":
        return _streamed(name, 0)
    if name == "idq_u64":
        return _streamed(name, channel or channel_of_name(path))
    if name == "idq_ascii":
        return _Ascii(path, channel or channel_of_name(path))
    if name in ("qcrypto_a1", "qcrypto_a1_legacy"):
        return _A1(legacy=name.endswith("legacy"))
    if name == "qutag_binary":
        return _Qutag()
    raise MisuseError(f"unknown tag format {name!r}", hint="known: " + ", ".join(FLAT_FORMATS))


def _streamed(name: str, channel: int) -> FlatDecoder:
    stream = decoder(name)

    def decode(data: bytes, last: bool) -> TagBlock:
        block: TagBlock = stream.feed(data, channel)
        return TagBlock.concat([block, stream.finish()]) if last else block

    return decode


class _Ascii:
    def __init__(self, path: Path, channel: int) -> None:
        self._path, self._channel = path, channel
        self._rest = b""
        self._line = 1

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
        return TagBlock(np.array(numbers, np.int64), np.full(len(numbers), self._channel, np.uint8))


class _A1:
    def __init__(self, *, legacy: bool) -> None:
        self._legacy = legacy
        self._rest = b""
        self._last = 0
        self._wraps = 0

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


def _masks(block: TagBlock, unit: Int64, what: str) -> tuple[Int64, Int64]:
    """(time, mask) of each instant, for formats whose words carry a mask of 4 channels."""
    if len(block) and int(block.channel.max()) > 4:
        index = int(np.argmax(block.channel > 4))
        raise MisuseError(
            f"{what}: channel[{index}] = {block.channel[index]} does not fit", hint="it has channels 1..4"
        )
    if len(block) and int(unit[0]) < 0:
        raise MisuseError(f"{what}: t_ps[0] = {block.t_ps[0]} is negative")
    new = np.flatnonzero(np.diff(unit, prepend=-1))
    bits = np.left_shift(1, block.channel.astype(np.int64) - 1)
    return unit[new], np.bitwise_or.reduceat(bits, new) if new.size else bits


def _encode_tdc1(block: TagBlock, state: dict[str, int]) -> bytes:
    """TDC1 words in 2 ns units, a dummy word at each wrap, as the instrument does."""
    time, mask = _masks(block, block.t_ps // 2000, "sfifteen_tdc1")
    words = (time & (1 << 27) - 1) << 5 | mask
    first = state.get("wraps", 0)
    if time.size:
        wraps = np.arange(first + 1, (int(time[-1]) >> 27) + 1, dtype=np.int64)
        at = np.searchsorted(time, wraps << 27)
        words = np.insert(words, at, 0x10)
        state["wraps"] = int(time[-1]) >> 27
    return words.astype("<u4").tobytes()


def _encode_a1(block: TagBlock, state: dict[str, int]) -> bytes:
    """Qcrypto a1 words; rounds to 1/256 ns."""
    unit = block.t_ps // 125 * 32 + (block.t_ps % 125 * 64 + 125) // 250
    time, mask = _masks(block, unit, "qcrypto_a1")
    return (
        ((time.astype(np.uint64) % np.uint64(A1_WRAP)) << np.uint64(10) | mask.astype(np.uint64))
        .astype("<u8")
        .tobytes()
    )


def _encode_idq(block: TagBlock, state: dict[str, int]) -> bytes:
    _one_channel(block, state, "idq_u64")
    return block.t_ps.astype("<u8").tobytes()


def _encode_ascii(block: TagBlock, state: dict[str, int]) -> bytes:
    _one_channel(block, state, "idq_ascii")
    return "".join(f"{time}\n" for time in block.t_ps.tolist()).encode()


def _one_channel(block: TagBlock, state: dict[str, int], what: str) -> None:
    for channel in np.unique(block.channel).tolist():
        if state.setdefault("channel", channel) != channel:
            raise MisuseError(
                f"{what} has one channel a file, the tags have {state['channel']} and {channel}",
                hint="choose one with --channel",
            )
    if len(block) and int(block.t_ps[0]) < 0:
        raise MisuseError(f"{what}: t_ps[0] = {block.t_ps[0]} is negative")


FLAT_WRITERS: dict[str, Callable[[TagBlock, dict[str, int]], bytes]] = {
    "idq_u64": _encode_idq,
    "idq_ascii": _encode_ascii,
    "sfifteen_tdc1": _encode_tdc1,
    "qcrypto_a1": _encode_a1,
}
