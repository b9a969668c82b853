"""PicoQuant PTU: T2 and T3 records to tags, tags to T2 records.

Layout after PicoQuant's published demo readers: a header of 48-byte tags, then u32 records. Inputs are
numbered from 1 as on the instrument; the sync input becomes channel 200, markers become 200 + their bit
mask (201..215).

======================  ========  ==============================================================  ================
record type             tag       bits                                                            wrap
======================  ========  ==============================================================  ================
HydraHarp 1 T2          00010204  special 1, channel 6, time 25; special 63 = overflow            33552000
HydraHarp 2, MultiHarp  01010204  the same; the time field counts the overflows                   2**25
.. TimeHarp T2          000102xx
PicoHarp T2             00010203  channel 4, time 28; channel 15, low bits 0 = overflow           210698240
HydraHarp 1 T3          00010304  special 1, channel 6, dtime 15, sync 10; special 63 = overflow  1024
HydraHarp 2, ... T3     01010304  the same; the sync field counts the overflows                   1024
PicoHarp T3             00010303  channel 4, dtime 12, sync 16; channel 15, dtime 0 = overflow    65536
======================  ========  ==============================================================  ================

A T3 tag's time is sync count x sync period + dtime x resolution, rounded to the picosecond. Records of one sync come
in the order in which the inputs are read out; the tags are given in the order of time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import MAX_PS, Int64, UInt8
from qnode.tags._backend import Backend, use_numba
from qnode.tags._block import TagBlock

__all__ = ["SYNC_CHANNEL", "PtuDecoder", "PtuHeader", "read_header", "write_t2"]

MAGIC = b"PQTTTR\0\0"
SYNC_CHANNEL = 200
MAX_UNIT_S = 1e6

Words = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class _Records:
    """How records of a type are read."""

    t3: bool
    picoharp: bool
    wrap: int
    counted: bool
    """The overflow record says how many overflows it stands for."""


_PICOHARP_T2 = _Records(t3=False, picoharp=True, wrap=210698240, counted=False)
_PICOHARP_T3 = _Records(t3=True, picoharp=True, wrap=65536, counted=False)
_HYDRA1_T2 = _Records(t3=False, picoharp=False, wrap=33552000, counted=False)
_HYDRA1_T3 = _Records(t3=True, picoharp=False, wrap=1024, counted=False)
_T2 = _Records(t3=False, picoharp=False, wrap=1 << 25, counted=True)
_T3 = _Records(t3=True, picoharp=False, wrap=1024, counted=True)

RECORD_TYPES = {
    0x00010203: _PICOHARP_T2,
    0x00010303: _PICOHARP_T3,
    0x00010204: _HYDRA1_T2,
    0x00010304: _HYDRA1_T3,
    **dict.fromkeys((0x01010204, 0x00010205, 0x00010206, 0x00010207), _T2),
    **dict.fromkeys((0x01010304, 0x00010305, 0x00010306, 0x00010307), _T3),
}


@dataclass(frozen=True)
class PtuHeader:
    """What a PTU file says of itself."""

    tags: dict[str, Any]
    """Header tags by name; ``name[i]`` for those with an index."""
    records_at: int
    """Byte at which the records begin."""
    records: _Records
    unit_ps: float
    """T2: a unit of time; T3: the sync period."""
    dtime_ps: float
    """T3: a unit of dtime."""


def read_header(file: BinaryIO, path: Path) -> PtuHeader:
    """Read the header and stop at the first record.

    Raises:
        MisuseError: no PTU file, a header cut short, or a record type that is not known; names the place.
    """
    if file.read(8) != MAGIC:
        raise MisuseError(f"{path} is no PTU file", hint="it does not start with PQTTTR")
    file.read(8)
    tags: dict[str, Any] = {}
    while True:
        at = file.tell()
        raw = file.read(48)
        if len(raw) < 48:
            raise MisuseError(f"{path}: the header ends at byte {at}, before Header_End", hint="is the file whole?")
        name, index, kind, value = struct.unpack("<32sII8s", raw)
        key = name.rstrip(b"\0").decode("latin-1") + (f"[{index}]" if index != 0xFFFFFFFF else "")
        if key == "Header_End":
            break
        tags[key] = _value(file, kind, value)
    kind = tags.get("TTResultFormat_TTTRRecType")
    if kind not in RECORD_TYPES:
        shown = f"0x{kind:08x}" if isinstance(kind, int) else "missing"
        raise MisuseError(f"{path}: the record type is {shown}", hint="time-tagged records T2 and T3 are read here")
    unit, dtime = (_seconds(tags, f"MeasDesc_{name}", path) for name in ("GlobalResolution", "Resolution"))
    if not unit:
        raise MisuseError(f"{path}: MeasDesc_GlobalResolution is missing or 0")
    return PtuHeader(tags, file.tell(), RECORD_TYPES[kind], unit * 1e12, dtime * 1e12)


def _seconds(tags: dict[str, Any], name: str, path: Path) -> float:
    """A length of time of the header; 0 when it is not there.

    Raises:
        MisuseError: it is no number of seconds, or none of an instrument.
    """
    found = tags.get(name, 0)
    if not isinstance(found, (int, float)) or not 0 <= found < MAX_UNIT_S:
        raise MisuseError(f"{path}: {name} is {found!r}, no length of time in seconds", hint="is the header damaged?")
    return float(found)


def _value(file: BinaryIO, kind: int, value: bytes) -> Any:
    if kind in (0x20000008, 0x21000008):
        return struct.unpack("<d", value)[0]
    if kind == 0x00000008:
        return struct.unpack("<q", value)[0] != 0
    number = struct.unpack("<q", value)[0]
    if kind == 0x4001FFFF:
        return file.read(number).rstrip(b"\0").decode("latin-1")
    if kind == 0x4002FFFF:
        return file.read(number).decode("utf-16-le", "replace").rstrip("\0")
    if kind in (0x2001FFFF, 0xFFFFFFFF):
        return file.read(number)
    return number


class PtuDecoder:
    """Records of one file to tags, in chunks of any size.

    Args:
        header: from `read_header`.
        backend: see `qnode.tags`.
    """

    def __init__(self, header: PtuHeader, *, backend: Backend = "auto") -> None:
        self._header = header
        self._whole = int(header.unit_ps) if header.unit_ps == int(header.unit_ps) else 0
        self._numba = use_numba(backend)
        self._overflow = 0  # in units of time (T2) or of syncs (T3)
        self._held = TagBlock.from_arrays([], [])  # T3: tags of the last sync, which the next record may precede
        self._last_sync = 0
        self._done = 0  # records
        # in units of time (T2) or of syncs (T3); a unit may be tiny
        self._limit = int(min(MAX_PS / header.unit_ps, MAX_PS))

    def decode(self, records: Words) -> TagBlock:
        """Tags of the next records; in T3 those from the last sync on wait for what comes.

        Raises:
            MisuseError: a time beyond 2**61 ps; names the record.
        """
        block = self._decode(records)
        self._done += records.size
        return block

    def _decode(self, records: Words) -> TagBlock:
        kind = self._header.records
        if self._numba and not kind.t3 and not kind.picoharp and self._whole:
            from qnode.tags._numba_ptu import t2 as kernel

            t_ps, channel = np.empty(records.size, np.int64), np.empty(records.size, np.uint8)
            count, overflows = kernel(
                records, self._overflow, kind.wrap, kind.counted, self._whole, self._limit, t_ps, channel
            )
            if count >= 0:  # else near the end of what int64 holds: looked at record by record
                self._overflow = overflows
                return TagBlock(t_ps[:count], channel[:count])
        time, dtime, channel, overflow = _fields(records, kind)
        wraps = np.cumsum(overflow)
        self._refuse_far(wraps > (self._limit - self._overflow) // kind.wrap)
        time = self._overflow + wraps * kind.wrap + time
        self._overflow += int(overflow.sum()) * kind.wrap
        used = overflow == 0
        # first roughly, so that the exact product below fits in int64
        self._refuse_far(used & (time * self._header.unit_ps + dtime * self._header.dtime_ps >= 2 * MAX_PS))
        t_ps = self._scaled(time, dtime)
        self._refuse_far(used & (t_ps >= MAX_PS))
        time, block = time[used], TagBlock(t_ps[used], channel[used])
        return self._in_order(time, block) if kind.t3 else block

    def _refuse_far(self, far: npt.NDArray[np.bool_]) -> None:
        """Refuse records whose times are too far.

        Raises:
            MisuseError: there is one; names the first.
        """
        if bool(far.any()):
            number = self._done + int(np.argmax(far))
            raise MisuseError(
                f"record {number}: the time passes 2**61 ps (26.7 days)",
                hint="are the records damaged, or the resolution in the header?",
                record=number,
            )

    def finish(self) -> TagBlock:
        """What waited."""
        held, self._held = self._held, TagBlock.from_arrays([], [])
        return held

    def _in_order(self, sync: Int64, block: TagBlock) -> TagBlock:
        """Tags sorted; syncs that go back are a fault of the file, which whoever counts the tags will name."""
        if not sync.size:
            return block
        t_ps = np.concatenate((self._held.t_ps, block.t_ps))
        channel = np.concatenate((self._held.channel, block.channel))
        self._held = TagBlock.from_arrays([], [])
        if int(np.diff(sync, prepend=self._last_sync).min()) < 0:
            self._last_sync = int(sync[-1])
            return TagBlock(t_ps, channel)
        self._last_sync = int(sync[-1])
        if t_ps.size > 1 and int(np.diff(t_ps).min()) < 0:
            order = np.argsort(t_ps, kind="stable")
            t_ps, channel = t_ps[order], channel[order]
        safe = int(np.searchsorted(t_ps, self._scaled(sync[-1:], np.zeros(1, np.int64))[0], "left"))
        self._held = TagBlock(t_ps[safe:], channel[safe:])
        return TagBlock(t_ps[:safe], channel[:safe])

    def _scaled(self, time: Int64, dtime: Int64) -> Int64:
        if self._whole and not self._header.records.t3:
            return time * self._whole
        # float64 is exact to 0.5 ps up to 75 min of data; whole units above need none of it
        scaled = np.rint(time * self._header.unit_ps + dtime * self._header.dtime_ps)
        return np.asarray(scaled, np.int64)


def _fields(records: Words, kind: _Records) -> tuple[Int64, Int64, UInt8, Int64]:
    """(time or sync, dtime, channel, number of overflows) of each record."""
    word = records.astype(np.int64)
    dtime = np.zeros_like(word)
    if kind.picoharp:
        field = word >> 28
        special = field == 15
        if kind.t3:
            time, dtime = word & 0xFFFF, word >> 16 & 0xFFF
            mark = dtime & 0xF
            dtime = np.where(special, 0, dtime)
            channel = np.where(special, SYNC_CHANNEL + mark, field)
        else:
            time = word & 0xFFFFFFF
            mark = word & 0xF
            channel = np.where(special, SYNC_CHANNEL + mark, field + 1)
        return time, dtime, channel.astype(np.uint8), (special & (mark == 0)).astype(np.int64)
    special = word >> 31 == 1
    field = word >> 25 & 0x3F
    time = word & 0x3FF if kind.t3 else word & 0x1FFFFFF
    if kind.t3:
        dtime = np.where(special, 0, word >> 10 & 0x7FFF)
    wraps = special & (field == 63)
    count = np.where(time == 0, 1, time) if kind.counted else 1
    channel = np.where(special, SYNC_CHANNEL + (field & 0xF), field + 1)
    return np.where(wraps, 0, time), dtime, channel.astype(np.uint8), np.where(wraps, count, 0)


def write_t2(path: Path, blocks: Iterable[TagBlock], comment: str = "") -> int:
    """Write tags as MultiHarp T2 records of 1 ps (record type 00010207).

    Channel 200 becomes the sync, 201..215 markers, 1..63 inputs. The format knows no gaps.

    Args:
        path: the file; written anew.
        blocks: sorted blocks, times from 0 on.
        comment: text for the header.

    Returns:
        Number of tags written.

    Raises:
        MisuseError: a channel or a time that T2 can't hold.
    """
    tags = records = 0
    overflow = 0
    with path.open("wb") as file:
        count_at = _write_header(file, comment)
        for block in blocks:
            encoded, overflow = _encode_t2(block, overflow)
            file.write(encoded.tobytes())
            tags += len(block)
            records += encoded.size
        file.seek(count_at)
        file.write(struct.pack("<q", records))
    return tags


def _write_header(file: BinaryIO, comment: str) -> int:
    """Write the header; returns where the number of records goes."""
    text = comment.encode("latin-1", "replace") + b"\0"
    text += b"\0" * (-len(text) % 8)
    creator = b"qnode\0\0\0"
    tags: list[tuple[str, int, bytes, bytes]] = [
        ("CreatorSW_Name", 0x4001FFFF, struct.pack("<q", len(creator)), creator),
        ("File_Comment", 0x4001FFFF, struct.pack("<q", len(text)), text),
        ("Measurement_Mode", 0x10000008, struct.pack("<q", 2), b""),
        ("Measurement_SubMode", 0x10000008, struct.pack("<q", 0), b""),
        ("TTResultFormat_TTTRRecType", 0x10000008, struct.pack("<q", 0x00010207), b""),
        ("TTResultFormat_BitsPerRecord", 0x10000008, struct.pack("<q", 32), b""),
        ("MeasDesc_GlobalResolution", 0x20000008, struct.pack("<d", 1e-12), b""),
        ("MeasDesc_Resolution", 0x20000008, struct.pack("<d", 1e-12), b""),
        ("TTResult_NumberOfRecords", 0x10000008, struct.pack("<q", 0), b""),
        ("Header_End", 0xFFFF0008, struct.pack("<q", 0), b""),
    ]
    file.write(MAGIC + b"1.0.00\0\0")
    count_at = 0
    for name, kind, value, data in tags:
        file.write(struct.pack("<32siI", name.encode(), -1, kind))
        if name == "TTResult_NumberOfRecords":
            count_at = file.tell()
        file.write(value + data)
    return count_at


def _encode_t2(block: TagBlock, overflow: int) -> tuple[Words, int]:
    t_ps, channel = block.t_ps, block.channel
    if not t_ps.size:
        return np.empty(0, np.uint32), overflow
    high = t_ps >> 25
    steps = np.diff(high, prepend=overflow)
    if int(steps[0]) < 0 or int(t_ps[0]) < 0:
        raise MisuseError(
            f"PTU: a block starts at {t_ps[0]} ps, before 0", hint="shift the times: convert --offset-ps"
        )
    if int(steps.max()) >= 1 << 25:
        index = int(np.argmax(steps))
        raise MisuseError(f"PTU: nothing for 18 min before t_ps[{index}] = {t_ps[index]}", hint="write two files")
    bad = ((channel > 63) & (channel < SYNC_CHANNEL)) | (channel > SYNC_CHANNEL + 15)
    if bool(bad.any()):
        index = int(np.argmax(bad))
        raise MisuseError(
            f"PTU: channel[{index}] = {channel[index]} does not fit",
            hint="T2 has inputs 1..63, sync 200, markers 201..215",
        )
    field = np.where(
        channel >= SYNC_CHANNEL, 64 + channel.astype(np.int64) - SYNC_CHANNEL, channel.astype(np.int64) - 1
    )
    wraps = np.flatnonzero(steps)
    at = np.arange(t_ps.size) + np.cumsum(steps > 0)
    records = np.empty(t_ps.size + wraps.size, np.uint32)
    records[at] = field << 25 | (t_ps & 0x1FFFFFF)
    records[at[wraps] - 1] = (64 + 63) << 25 | steps[wraps]
    return records, int(high[-1])
