"""What both ends of the herald plane speak of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

__all__ = ["BootChange", "Item", "StoredRecord", "StreamCounters", "StreamJournal"]


class Item(NamedTuple):
    """One numbered item; ``(boot_id, seq)`` is its identity in delivery."""

    boot_id: bytes
    """16 random bytes, new at each start of the publisher: the start that made this item."""
    seq: int
    """From 1, without gaps, going on across starts of the publisher as its journal does."""
    kind: int
    """0 to 255, the publisher's own meaning."""
    wall_ns: int
    """Publisher's wall time at the append, nanoseconds since 1970; never a date of physics."""
    payload: bytes


class BootChange(NamedTuple):
    """The publisher has started anew (or was never met before: ``old_boot_id`` is empty)."""

    old_boot_id: bytes
    new_boot_id: bytes
    taken_back: range
    """Numbers that were delivered under an older boot and that the publisher's journal no longer holds (a power cut
    took them): void; the same numbers come again as other items. Mostly empty."""


@dataclass(slots=True)
class StreamCounters:
    """What a subscriber has seen since it was made."""

    delivered: int = 0
    duplicates: int = 0
    """Items dropped because they had been delivered before."""
    gaps: int = 0
    """Holes found in the numbers, from the next item or from the publisher's position."""
    replays: int = 0
    """Ranges asked for again."""
    late: int = 0
    """Items handed on more than ``late_after_s`` of wall time after they were published."""
    boots: int = 0
    """Changes of the publisher's boot id."""
    reconnects: int = 0
    """Sessions after the first one."""


class StoredRecord(Protocol):
    """What the bus reads of a journal's record."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def wall_ns(self) -> int: ...
    @property
    def payload(self) -> bytes: ...


class StreamJournal(Protocol):
    """What a stream needs of a journal; `qnode.runs.Journal` is one."""

    path: Path

    @property
    def last_seq(self) -> int:
        """Number of the last record, 0 when there is none."""

    def append(self, payload: bytes, *, kind: int = 0, seq: int | None = None, wall_ns: int | None = None) -> int:
        """Write at once, so that kill -9 loses nothing, and return the number."""

    def read(self, first: int, last: int | None = None, *, max_bytes: int | None = None) -> Iterator[StoredRecord]:
        """Give the records from ``first`` to ``last``, both included."""
