"""An unbuffered file under a recorder, for disks that hang or are full."""

from __future__ import annotations

from pathlib import Path

__all__ = ["UnbufferedFile"]


class UnbufferedFile:
    """What a recorder asks of its file, all but `write`."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("xb", buffering=0)

    def truncate(self, size: int) -> int:
        """Cut it."""
        return self.file.truncate(size)

    def seek(self, offset: int) -> int:
        """Go there."""
        return self.file.seek(offset)

    def close(self) -> None:
        """Give it back."""
        self.file.close()
