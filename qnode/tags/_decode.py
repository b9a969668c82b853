"""Raw bytes of an instrument to tags: decoding lives here, once; drivers hand over buffers and a name."""

from __future__ import annotations

from typing import Any, Generic, Literal, Protocol, TypeVar, overload

import numpy as np

from qnode.errors import InstrumentError, MisuseError
from qnode.tags._block import RefBlock, TagBlock
from qnode.tags._tdc1 import Tdc1Decoder

__all__ = ["FORMATS", "Decoder", "decoder"]

FORMATS = ("sfifteen_tdc1", "idq_u64", "idq_u64_ref")

BlockT = TypeVar("BlockT", TagBlock, RefBlock)
Block_co = TypeVar("Block_co", bound=TagBlock | RefBlock, covariant=True)


class Decoder(Protocol[Block_co]):
    """A stateful decoder of one instrument's stream. The result is the same however the bytes are split."""

    horizon_ps: int
    """No tag before this time will come any more (but in the interval of a gap)."""
    dropped_bytes: int
    """Bytes that were no whole record, or belonged to no trustworthy one."""
    cut_bytes: int
    """Bytes of records that the end of the stream cut, known after `finish`."""

    def feed(self, data: bytes, channel: int = 0) -> Block_co:
        """Decode what came next.

        Args:
            data: any number of bytes, records may be cut anywhere.
            channel: the input they belong to, for formats that carry one channel a stream.

        Raises:
            MisuseError: a channel is needed and was not given.
            InstrumentError: the bytes can't be this format; the text says at which byte.
        """

    def finish(self) -> Block_co:
        """Decode what is left at the end; an incomplete record is counted in ``dropped_bytes``."""


class _IdqDecoder(Generic[BlockT]):
    """u64 little-endian picoseconds, or pairs (reference index, picoseconds): one stream a channel.

    Source: ID Quantique's DataLinkTarget samples. Whether stamps restart in each sub-acquisition depends on
        the recording; times are given as they come, and `qnode.tags.fold` refuses those that go back.
    """

    record_bytes = 8

    def __init__(self) -> None:
        self.horizon_ps = 0
        self.dropped_bytes = self.cut_bytes = 0
        self._rest: dict[int, bytes] = {}
        self._offset: dict[int, int] = {}
        self._last: dict[int, int] = {}

    def _build(self, fields: np.ndarray[Any, np.dtype[np.int64]], channel: int) -> BlockT:
        raise NotImplementedError

    def feed(self, data: bytes, channel: int = 0) -> BlockT:
        if not 1 <= channel <= 255:
            raise MisuseError(
                f"channel {channel} is out of range",
                hint="this format has one stream a channel: pass channel=1..255",
            )
        buffer = self._rest.pop(channel, b"") + data
        whole = len(buffer) - len(buffer) % self.record_bytes
        if whole < len(buffer):
            self._rest[channel] = buffer[whole:]
        words = np.frombuffer(buffer, "<i8", whole // 8)
        offset = self._offset.get(channel, 0)
        if words.size and words.min() < 0:
            at = int(np.argmax(words < 0))
            raise InstrumentError(
                f"channel {channel}, byte {offset + 8 * at}: {words[at].view('<u8')} is no time in picoseconds",
                hint="is the stream cut inside a record, or recorded with a reference index?",
            )
        self._offset[channel] = offset + whole
        fields = words.reshape(-1, self.record_bytes // 8)
        if fields.size:
            self._last[channel] = int(fields[-1, -1])
            self.horizon_ps = min(self._last.values())
        return self._build(fields, channel)

    def finish(self) -> BlockT:
        self.cut_bytes = sum(len(rest) for rest in self._rest.values())
        self.dropped_bytes += self.cut_bytes
        self._rest.clear()
        return self._build(np.empty((0, self.record_bytes // 8), np.int64), 1)


class _IdqPlain(_IdqDecoder[TagBlock]):
    def _build(self, fields: np.ndarray[Any, np.dtype[np.int64]], channel: int) -> TagBlock:
        return TagBlock(fields[:, 0].astype(np.int64), np.full(len(fields), channel, np.uint8))


class _IdqRef(_IdqDecoder[RefBlock]):
    record_bytes = 16

    def _build(self, fields: np.ndarray[Any, np.dtype[np.int64]], channel: int) -> RefBlock:
        return RefBlock(
            fields[:, 0].astype(np.int64), fields[:, 1].astype(np.int64), np.full(len(fields), channel, np.uint8)
        )


@overload
def decoder(format: Literal["idq_u64_ref"]) -> Decoder[RefBlock]: ...
@overload
def decoder(format: Literal["sfifteen_tdc1", "idq_u64"]) -> Decoder[TagBlock]: ...
@overload
def decoder(format: str) -> Decoder[Any]: ...


def decoder(format: str) -> Decoder[Any]:
    """A fresh decoder for a stream.

    ==================  ======================================================================  ==========
    format              records                                                                 gives
    ==================  ======================================================================  ==========
    ``sfifteen_tdc1``   u32 LE: time in 2 ns (27 bits), dummy bit, mask of channels 1..4        `TagBlock`
    ``idq_u64``         u64 LE picoseconds, one stream a channel                                `TagBlock`
    ``idq_u64_ref``     pairs of u64 LE: reference index, picoseconds; one stream a channel     `RefBlock`
    ==================  ======================================================================  ==========

    Raises:
        MisuseError: the format is unknown.
    """
    if format == "sfifteen_tdc1":
        return Tdc1Decoder()
    if format == "idq_u64":
        return _IdqPlain()
    if format == "idq_u64_ref":
        return _IdqRef()
    raise MisuseError(f"unknown tag format {format!r}", hint="known: " + ", ".join(FORMATS))
