"""Where a subscriber keeps how far it has got, so that a restarted one goes on from there."""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from pathlib import Path
from typing import NamedTuple, Protocol

from qnode.bus._stream import Item, StreamJournal
from qnode.errors import MisuseError

__all__ = ["FilePositions", "JournalPositions", "Position", "PositionStore"]

_SLOT = struct.Struct("<QQ16sI")
_SLOT_BODY = _SLOT.size - 4
_IDENTITY = struct.Struct("<16sQ")


class Position(NamedTuple):
    """The last item that was dealt with; ``Position()`` is the beginning."""

    boot_id: bytes = b""
    seq: int = 0


class PositionStore(Protocol):
    """Keeps one position. ``save`` is called after each item has been dealt with, so it must be quick."""

    def load(self) -> Position:
        """Give the position kept last, ``Position()`` at first."""

    def save(self, position: Position) -> None:
        """Keep a position so that it survives kill -9."""


class FilePositions:
    """A position in a small file.

    kill -9 between dealing with an item and keeping its number makes that one item come again at the next start; a
    consumer for which that is too much keeps its records and its position in one journal: `JournalPositions`.

    Args:
        path: the file; made with its folder if absent.

    Raises:
        MisuseError: the file is not a position file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> file = Path(tempfile.mkdtemp()) / "midpoint.position"
        >>> FilePositions(file).save(Position(b"B" * 16, 41))
        >>> FilePositions(file).load().seq
        41
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        weakref.finalize(self, os.close, self._fd)
        self._turn, self._position = self._read()

    def load(self) -> Position:
        """Give the position kept last."""
        return self._position

    def save(self, position: Position) -> None:
        """Keep a position: one write into the older of two slots, so that a torn write leaves the other."""
        self._turn += 1
        body = _SLOT.pack(self._turn, position.seq, position.boot_id, 0)[:_SLOT_BODY]
        os.pwrite(self._fd, body + zlib.crc32(body).to_bytes(4, "little"), self._turn % 2 * _SLOT.size)
        self._position = position

    def _read(self) -> tuple[int, Position]:
        data = self.path.read_bytes()
        found = (0, Position())
        for start in range(0, len(data) - _SLOT.size + 1, _SLOT.size):
            turn, seq, boot_id, crc = _SLOT.unpack_from(data, start)
            if zlib.crc32(data[start : start + _SLOT_BODY]) == crc:
                found = max(found, (turn, Position(boot_id, seq)))
        if data and not found[0]:
            raise MisuseError(f"{self.path} is not a position file", hint="move it away; the stream then starts anew")
        return found


class JournalPositions:
    """A position that is the consumer's own journal: an item and its number are kept by one write.

    The consumer appends each item that it has dealt with by `record`; so an item is in the journal once, whatever is
    killed when. Records are the boot id (16 bytes), the number (u64, little-endian), then the consumer's payload.

    Args:
        journal: the consumer's, holding nothing else.

    Example::

        positions = JournalPositions(journal)
        async with StreamSubscriber(endpoint, "midpoint", "alice", keyring, positions) as stream:
            async for item in stream:
                positions.record(item, item.payload)
    """

    def __init__(self, journal: StreamJournal) -> None:
        self._journal = journal

    def record(self, item: Item, payload: bytes) -> None:
        """Append what became of an item; ``payload`` is the consumer's own."""
        self._journal.append(item.boot_id + item.seq.to_bytes(8, "little") + payload, kind=item.kind)

    def load(self) -> Position:
        """Give the identity of the item recorded last."""
        last = self._journal.last_seq
        for stored in self._journal.read(last, last):
            return Position(*_IDENTITY.unpack_from(stored.payload))
        return Position()

    def save(self, position: Position) -> None:
        """Do nothing: `record` has kept it."""
