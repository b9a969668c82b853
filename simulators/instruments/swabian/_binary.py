"""The binary upload on TCP 21328, as the maker's client writes and reads it.

A request is a header ``<4I2Q`` (magic, id, command, 0, length of what follows, 0), then 32 bytes about the sequence,
the pulses, and zeros. The reply is a header of the same shape (magic, the same id, error, 0, length of more, 0);
after an upload ``<8i`` comes behind it, whose first is the result of the upload.
"""

from __future__ import annotations

import asyncio
import logging
import struct

from simulators.instruments.swabian._json_rpc import RefusedError
from simulators.instruments.swabian._player import NextAction, OnNoData, Player, Slot, When
from simulators.instruments.swabian._steps import MAX_STEPS, OutputState, Steps, decode_pulses

__all__ = ["BinaryUpload"]

log = logging.getLogger(__name__)

_MAGIC = 0x53504953
_HEADER = struct.Struct("<4I2Q")
_STREAM = struct.Struct("<qQ2h4BQ")
_UPLOAD = struct.Struct("<qQ2h8BI")
_UPLOAD_RESULT = struct.Struct("<8i")
_COMMAND_STREAM = 0x0
_COMMAND_UPLOAD = 0x100
_PULSE_BYTES = 9
_MAX_PAYLOAD = 64 + MAX_STEPS * _PULSE_BYTES

# [K] The client takes any error but 0 as failure and names none.
_ERROR_COMMAND = 1
_ERROR_PAYLOAD = 2
_ERROR_REFUSED = 3


class BinaryUpload:
    """Serves the connections; ``player`` gets what they bring."""

    def __init__(self, player: Player) -> None:
        self._player = player

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the client leaves, or sends what can't be followed any more."""
        while not reader.at_eof():
            try:
                header = await reader.readexactly(_HEADER.size)
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
                return
            magic, identity, command, _, length, _ = _HEADER.unpack(header)
            if magic != _MAGIC or length > _MAX_PAYLOAD:
                log.warning("binary upload: a header with magic %#x and %d bytes to come; hung up", magic, length)
                return
            payload = await reader.readexactly(length)
            writer.write(self._answer(identity, command, payload))
            await writer.drain()

    def _answer(self, identity: int, command: int, payload: bytes) -> bytes:
        more = b""
        try:
            if command == _COMMAND_STREAM:
                self._stream(payload)
            elif command == _COMMAND_UPLOAD:
                more = _UPLOAD_RESULT.pack(self._upload(payload), *([0] * 7))
            else:
                return _HEADER.pack(_MAGIC, identity, _ERROR_COMMAND, 0, 0, 0)
        except (ValueError, struct.error) as error:
            log.warning("binary upload: %s", error)
            return _HEADER.pack(_MAGIC, identity, _ERROR_PAYLOAD, 0, 0, 0)
        except RefusedError as error:
            log.warning("binary upload: %s", error)
            return _HEADER.pack(_MAGIC, identity, _ERROR_REFUSED, 0, 0, 0)
        return _HEADER.pack(_MAGIC, identity, 0, 0, len(more), 0) + more

    def _stream(self, payload: bytes) -> None:
        n_runs, n_pulses, a0, a1, mask, *_ = _STREAM.unpack_from(payload)
        self._player.stream(_pulses(payload, n_pulses), n_runs, OutputState.from_wire(mask, a0, a1))

    def _upload(self, payload: bytes) -> int:
        n_runs, n_pulses, a0, a1, mask, _, _, _, slot_nr, action, when, on_no_data, _ = _UPLOAD.unpack_from(payload)
        slot = Slot(
            steps=_pulses(payload, n_pulses),
            n_runs=n_runs,
            idle=OutputState.from_wire(mask, a0, a1),
            next_action=NextAction(action),
            when=When(when),
            on_no_data=OnNoData(on_no_data),
        )
        try:
            self._player.upload(slot_nr, slot)
        except RefusedError as error:
            # The transfer went well, the slot did not take it: that is what the result is for.
            log.warning("binary upload: %s", error)
            return 1
        return 0


def _pulses(payload: bytes, n_pulses: int) -> Steps:
    data = payload[_STREAM.size : _STREAM.size + n_pulses * _PULSE_BYTES]
    if len(data) != n_pulses * _PULSE_BYTES:
        raise ValueError(f"{n_pulses} pulses announced, the payload of {len(payload)} bytes is too short for them")
    return decode_pulses(data)
