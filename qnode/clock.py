"""Lab time: what numbers rounds, dates tags, expires heralds. Standard library only.

Lab time is TAI, counted in integer picoseconds from 1970-01-01T00:00:00 TAI. Such a number does not fit in
64 bits, so it lives in Python integers; arrays hold int64 picoseconds from a plan's origin T0, which is a whole
TAI second.  Wall time (``time.monotonic``) bounds calls, heartbeats and leases and is never mixed in.

Two sources, one interface (`LabClock`):

* `HostClock`: the disciplined clock of a rack's host.
* `WorldClock`: the simulated world's clock endpoint, the one wire that no real lab has. It carries time and
  credit, nothing physical.

The wire of the clock endpoint (version 1): TCP, one JSON object a line, UTF-8, LF.

======================================================  =====================================================
client                                                  server
======================================================  =====================================================
``{"op": "hello", "party": "alice", "version": 1}``     ``{"op": "hello", "version": 1, "now_ps": n}`` or
                                                        ``{"op": "error", "text": "..."}``
``{"op": "now", "id": 1}``                              ``{"id": 1, "now_ps": n}``
``{"op": "release", "id": 2, "until_ps": n}``           ``{"id": 2, "now_ps": n}``, at once
``{"op": "wait", "id": 3, "until_ps": n}``              ``{"id": 3, "now_ps": n}``, when lab time has got there
``{"op": "idle", "id": 4}``                             ``{"id": 4, "now_ps": n}``: this party bounds nothing
(closes)                                                the party is gone and bounds nothing
..                                                      ``{"op": "error", "text": "..."}`` when lab time failed
======================================================  =====================================================

Rules of the server. Each party has a bound, the lab time up to which it has released; a party that has said only
hello is idle. Lab time never passes the smallest bound of the parties that are not idle, at any speed. ``wait``
releases up to its ``until_ps``. Lab time runs at the wall's pace; at ``speed: max`` it runs as fast as it can up to
the smallest bound (with idle parties alone: at the wall's pace). Nothing is ever late because a computer is slow: a
party whose bound stops lab time, while another waits beyond it, fails the run after 30 s of wall time, and the error
names it.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["PS_PER_NS", "PS_PER_S", "PS_PER_US", "TAI_MINUS_UTC_S", "ClockError", "HostClock", "LabClock"]

from qnode.errors import NetworkError

PS_PER_NS = 1_000
PS_PER_US = 1_000_000
PS_PER_S = 1_000_000_000_000

TAI_MINUS_UTC_S = 37
"""Since 2017-01-01, IERS Bulletin C 52."""


class ClockError(NetworkError):
    """Lab time can't be read, or stands still because a party is silent."""

    code = "clock"


class LabClock(Protocol):
    """The only source of lab time in a daemon; injected, so that tests bring their own."""

    async def now_ps(self) -> int:
        """Lab time now, picoseconds of TAI.

        Raises:
            ClockError: the source does not answer within its time-out.
        """

    async def wait_until(self, until_ps: int) -> int:
        """Return lab time as soon as it is ``until_ps`` or later; releases up to there.

        Raises:
            ClockError: the source failed, or names a party that holds lab time.
        """

    async def release(self, until_ps: int) -> None:
        """Let lab time run up to ``until_ps``; this party has nothing to do before. No-op on real clocks.

        A smaller value than the last one takes credit back; what has been played stays played.
        """

    async def idle(self) -> None:
        """This party bounds lab time no more, until it next waits or releases. No-op on real clocks."""

    async def close(self) -> None:
        """Give the source back."""


class HostClock:
    """Lab time from the host's clock, disciplined by NTP, PTP or White Rabbit; good enough to label a second."""

    async def now_ps(self) -> int:
        """TAI picoseconds from the system clock (UTC) and the fixed offset."""
        return (time.time_ns() + TAI_MINUS_UTC_S * 1_000_000_000) * PS_PER_NS
