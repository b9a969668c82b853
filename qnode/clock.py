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

import asyncio
import json
import time
from typing import Any, Protocol

from qnode.errors import NetworkError

__all__ = [
    "PS_PER_NS",
    "PS_PER_S",
    "TAI_MINUS_UTC_S",
    "WIRE_VERSION",
    "ClockError",
    "HostClock",
    "LabClock",
    "WorldClock",
    "connect_clock",
]

PS_PER_NS = 1_000
PS_PER_S = 1_000_000_000_000

TAI_MINUS_UTC_S = 37
"""Since 2017-01-01, IERS Bulletin C 52."""

WIRE_VERSION = 1
"""Version of the clock endpoint's wire, sent in both hellos."""


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

    async def wait_until(self, until_ps: int) -> int:
        """Sleep until the host's clock is there."""
        while (now_ps := await self.now_ps()) < until_ps:
            await asyncio.sleep(min((until_ps - now_ps) / PS_PER_S, 1.0))
        return now_ps

    async def release(self, until_ps: int) -> None:
        """Nothing: real time runs by itself."""

    async def idle(self) -> None:
        """Nothing: real time runs by itself."""

    async def close(self) -> None:
        """Nothing to give back."""


class WorldClock:
    """Lab time of the simulated world, read over its clock endpoint; made by `connect`.

    One reader task hands out answers by their id, so calls may overlap. Once the endpoint has failed, every call
    raises the same `ClockError`; connect anew to go on.
    """

    def __init__(
        self, address: str, party: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float
    ) -> None:
        self._address = address
        self._party = party
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._pending: dict[int, asyncio.Future[int]] = {}
        self._last_id = 0
        self._failure = ""
        self._task = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def connect(cls, address: str, party: str, *, timeout_s: float = 5.0) -> WorldClock:
        """Open the clock endpoint and say hello.

        Args:
            address: ``tcp://host:port``.
            party: who is asking; the world names it when it holds lab time.
            timeout_s: wall time for connecting and, later, for every answer that is due at once.

        Raises:
            ClockError: no such endpoint, or it refuses us.
        """
        host, port = _split(address)
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            raise ClockError(
                f"clock {address}: no connection within {timeout_s:g} s ({str(error) or type(error).__name__})",
                hint="start the simulators (`qnode simulate LAB`) or correct `clocks:` in the lab file",
            ) from error
        try:
            async with asyncio.timeout(timeout_s):
                writer.write(_line({"op": "hello", "party": party, "version": WIRE_VERSION}))
                await writer.drain()
                answer = _parse(address, await reader.readline())
        except (OSError, TimeoutError, ClockError) as error:
            writer.close()
            if isinstance(error, ClockError):
                raise
            raise ClockError(
                f"clock {address}: no hello within {timeout_s:g} s", hint="is this the clock endpoint of the world?"
            ) from error
        if answer.get("op") == "error" or answer.get("version") != WIRE_VERSION:
            writer.close()
            text = answer.get("text", f"it speaks version {answer.get('version')}, this client {WIRE_VERSION}")
            raise ClockError(f"clock {address} refuses {party}: {text}")
        return cls(address, party, reader, writer, timeout_s)

    async def now_ps(self) -> int:
        """Lab time now, picoseconds of TAI."""
        return await self._call({"op": "now"}, self._timeout_s)

    async def wait_until(self, until_ps: int) -> int:
        """Release up to ``until_ps`` and return when lab time is there; the world bounds the wait."""
        return await self._call({"op": "wait", "until_ps": until_ps}, None)

    async def release(self, until_ps: int) -> None:
        """Let lab time run up to ``until_ps``."""
        await self._call({"op": "release", "until_ps": until_ps}, self._timeout_s)

    async def idle(self) -> None:
        """Bound lab time no more."""
        await self._call({"op": "idle"}, self._timeout_s)

    async def close(self) -> None:
        """Close the connection; the world forgets this party."""
        self._fail("closed by this side")
        self._task.cancel()
        self._writer.close()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _call(self, request: dict[str, Any], timeout_s: float | None) -> int:
        if self._failure:
            raise ClockError(f"clock {self._address}: {self._failure}")
        self._last_id += 1
        number = self._last_id
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(_line({**request, "id": number}))
                await self._writer.drain()
                return await future
        except TimeoutError as error:
            raise ClockError(
                f"clock {self._address}: no answer to {request['op']} of {self._party} within {timeout_s:g} s",
                hint="are the simulators still running?",
            ) from error
        except OSError as error:
            self._fail(f"connection lost ({error})")
            raise ClockError(f"clock {self._address}: {self._failure}") from error
        finally:
            self._pending.pop(number, None)
            if future.done() and not future.cancelled():
                future.exception()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                answer = _parse(self._address, line)
                if answer.get("op") == "error":
                    self._fail(str(answer.get("text")))
                    return
                future = self._pending.get(answer.get("id", 0))
                if future is not None and not future.done():
                    future.set_result(int(answer["now_ps"]))
            self._fail("the world closed the connection")
        except (OSError, ValueError, KeyError, ClockError) as error:
            self._fail(f"connection lost ({error})")

    def _fail(self, text: str) -> None:
        self._failure = self._failure or text
        for future in self._pending.values():
            if not future.done():
                future.set_exception(ClockError(f"clock {self._address}: {self._failure}"))


async def connect_clock(address: str, party: str, *, timeout_s: float = 5.0) -> LabClock:
    """The clock that a lab file names under `clocks`: ``host``, or ``tcp://host:port`` of a world.

    Raises:
        ClockError: the endpoint does not answer or refuses this party.
    """
    return HostClock() if address == "host" else await WorldClock.connect(address, party, timeout_s=timeout_s)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if not host or not port.isdigit():
        raise ClockError(f"clock {address!r}: not an address", hint="write `host` or `tcp://address:port`")
    return host, int(port)


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _parse(address: str, line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise ClockError(f"clock {address}: not its wire: {line[:80]!r}") from error
    if not isinstance(answer, dict):
        raise ClockError(f"clock {address}: not its wire: {line[:80]!r}")
    return answer
