"""Which start of a publisher made which items: a table beside its journal."""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

__all__ = ["BootTable"]

_NO_END = 2**64 - 1


class _Start(NamedTuple):
    boot_id: bytes
    first_seq: int


class BootTable:
    """Starts of a publisher, oldest first, in ``<journal>.boots``: one JSON line each.

    A power cut may take the journal's tail after it was sent. The next start then begins at a lower number than the
    one before had reached, and its items under those numbers are others: only the table can tell.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts: list[_Start] = []
        self._makers: list[_Start] = []
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        for line in lines:
            entry = json.loads(line)
            self._note(_Start(bytes.fromhex(entry["boot_id"]), entry["first_seq"]))

    def add(self, boot_id: bytes, first_seq: int) -> None:
        """Write that ``boot_id`` makes the items from ``first_seq`` on; durable on return."""
        self._note(_Start(boot_id, first_seq))
        draft = self._path.with_name(self._path.name + ".draft")
        with draft.open("w") as file:
            for start in self._starts:
                file.write(json.dumps({"boot_id": start.boot_id.hex(), "first_seq": start.first_seq}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def maker(self, seq: int) -> tuple[bytes, int]:
        """Give the start that made item ``seq``, and the highest number that it can have made."""
        after = bisect_right(self._makers, seq, key=lambda start: start.first_seq)
        until = self._makers[after].first_seq - 1 if after < len(self._makers) else _NO_END
        return self._makers[max(after - 1, 0)].boot_id, until

    def still_valid(self, boot_id: bytes, seq: int) -> int:
        """Give the highest number up to ``seq`` under which the journal still holds what it held in ``boot_id``."""
        boots = [start.boot_id for start in self._starts]
        if boot_id not in boots:
            return 0
        later = self._starts[boots.index(boot_id) + 1 :]
        return min([seq, *(start.first_seq - 1 for start in later)])

    def _note(self, start: _Start) -> None:
        self._starts.append(start)
        # A start that begins no higher than an older one has taken over all numbers of that one.
        self._makers = [known for known in self._makers if known.first_seq < start.first_seq]
        self._makers.append(start)
