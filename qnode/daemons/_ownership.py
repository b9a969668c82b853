"""One owner a site: a file lock in the data folder, held by whoever may touch the site's instruments.

The kernel gives it back when its holder dies, however that happens. What stands in the file is for people: who holds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from qnode.errors import InstrumentError

__all__ = ["Holder", "LockedError", "Ownership", "holder_of"]

LOOK_AGAIN_S = 0.05


class LockedError(InstrumentError):
    """Another process owns what is asked for."""

    code = "locked"


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    role: str
    """``daemon``, ``guard`` or ``supervisor``."""
    pid: int
    host: str

    def __str__(self) -> str:
        return f"{self.role}, pid {self.pid} on {self.host}"


class Ownership:
    """A lock that this process takes and gives back.

    Args:
        path: its file; made where it is missing.
        role: what this process says of itself in it.
    """

    def __init__(self, path: Path, role: str) -> None:
        self.path = path
        self._role = role
        self._fd = -1

    @staticmethod
    def of_site(data_folder: Path, site: str, role: str) -> Ownership:
        """The lock on a site's instruments."""
        return Ownership(data_folder / "locks" / f"{site}.lock", role)

    @staticmethod
    def of_lab(data_folder: Path) -> Ownership:
        """The lock of the one supervisor of a lab on this host."""
        return Ownership(data_folder / "supervisor.lock", "supervisor")

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._fd >= 0

    async def take(self, what: str, within_s: float) -> None:
        """Take it, as soon as whoever holds it lets go.

        Args:
            what: what is locked, for the error's text.
            within_s: wall time to wait.

        Raises:
            LockedError: it is still held then; the text says by whom.
        """
        deadline = time.monotonic() + within_s
        while not self._try():
            if time.monotonic() >= deadline:
                holder = holder_of(self)
                raise LockedError(
                    f"{what} is owned by another process ({holder or 'which has just let go'})",
                    hint=_what_to_do(holder),
                )
            await asyncio.sleep(LOOK_AGAIN_S)

    def give_back(self) -> None:
        """Let go; nothing where it is not held."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)

    def _try(self) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        holder = Holder(self._role, os.getpid(), socket.gethostname())
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(holder)).encode(), 0)
        self._fd = fd
        return True


def _what_to_do(holder: Holder | None) -> str:
    if holder is None:
        return "try again"
    if holder.host != socket.gethostname():
        return f"stop it on {holder.host}, or give this one a data folder of its own"
    if _is_stopped(holder.pid):
        return f"it is suspended: `kill -CONT {holder.pid}` lets it go on, then stop it with `qnode stop LAB`"
    if holder.role == "guard":
        return "it makes the instruments of a daemon that was killed safe: try again in some seconds"
    return "stop it with `qnode stop LAB`"


def _is_stopped(pid: int) -> bool:
    """Whether a process of this host is suspended, by SIGSTOP, Ctrl-Z or a debugger."""
    try:
        # Its name, in brackets, may hold anything.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in ("T", "t")


def holder_of(lock: Ownership) -> Holder | None:
    """Who holds a lock now, None where nobody does; seen from the host where its data folder lies."""
    try:
        fd = os.open(lock.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 4096, 0)
        try:
            return Holder(**json.loads(text))
        except (ValueError, TypeError):
            # Between its lock and its name.
            return Holder("process", 0, socket.gethostname())
    else:
        return None
    finally:
        os.close(fd)
