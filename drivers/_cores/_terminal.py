"""Opening a terminal that is really the instrument's."""

from __future__ import annotations

import os
from pathlib import Path

import serial

__all__ = ["open_terminal"]

SLACK_NS = 500_000_000


def open_terminal(path: str, timeout_s: float) -> serial.Serial:
    """Open a serial terminal, but not a pseudo-terminal that has meanwhile become somebody else's.

    A link to a pseudo-terminal outlives a server that was killed, and the kernel gives the number to whoever opens
    the next terminal: writing there would type into a stranger's shell. A pseudo-terminal that is younger than the
    link that points to it is a stranger's.

    Args:
        path: device or link.
        timeout_s: of reads and writes.

    Raises:
        OSError: not there, not ours, or it can't be opened (pyserial's own error is an OSError).
        ValueError: not a terminal that pyserial can set up.
    """
    link, target = Path(path), Path(os.path.realpath(path))
    if link.is_symlink() and target.is_relative_to("/dev/pts") and target.exists():
        made_ns, linked_ns = target.stat().st_ctime_ns, link.lstat().st_mtime_ns
        if made_ns > linked_ns + SLACK_NS:
            raise OSError(f"{path} is a stale link: {target} belongs to another program by now")
    # A pseudo-terminal has no baud rate and USB-CDC ignores it.
    return serial.Serial(path, 115200, timeout=timeout_s, write_timeout=timeout_s)
