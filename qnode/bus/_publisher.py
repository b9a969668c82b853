"""The sending end of the herald plane."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import cast

from qnode.bus._boots import BootTable
from qnode.bus._hub import Hub, Session
from qnode.bus._keys import Keyring
from qnode.bus._running import Running
from qnode.bus._sockets import STREAM
from qnode.bus._stream import StreamJournal
from qnode.bus._wire import STREAM_FEATURES, Ack, Ask, Hello, Items, PositionNote, Upstream
from qnode.errors import MisuseError, NetworkError

__all__ = ["StreamPublisher"]

_NOTE_EVERY_S = 0.05
_SILENT_AFTER_S = 5.0
_WINDOW_ITEMS = 4096
_WINDOW_BYTES = 16 * 1024 * 1024
_BATCH_ITEMS = 256
_BATCH_BYTES = 256 * 1024
_MAX_PAYLOAD = 1024 * 1024

_log = logging.getLogger(__name__)


class _Cursor:
    """How far one session is: what was sent, what is on its way, what was dealt with."""

    def __init__(self, at: int) -> None:
        self.sent = at
        self.acked = at
        self.on_way: deque[tuple[int, int]] = deque()
        """(last number, bytes) of each batch that is not acknowledged."""
        self.bytes_on_way = 0

    def may_send(self) -> bool:
        return self.sent - self.acked < _WINDOW_ITEMS and self.bytes_on_way < _WINDOW_BYTES

    def note_sent(self, last_seq: int, size: int) -> None:
        self.sent = last_seq
        self.on_way.append((last_seq, size))
        self.bytes_on_way += size

    def note_acked(self, seq: int) -> None:
        self.acked = max(self.acked, min(seq, self.sent))
        while self.on_way and self.on_way[0][0] <= self.acked:
            self.bytes_on_way -= self.on_way.popleft()[1]

    def go_back(self, first_seq: int) -> None:
        self.sent = max(self.acked, min(self.sent, first_seq - 1))
        while self.on_way and self.on_way[-1][0] > self.sent:
            self.bytes_on_way -= self.on_way.pop()[1]


class StreamPublisher(Running):
    """Numbers items, journals them, sends them to every subscriber and sends again what one has missed.

    Args:
        endpoint: ``tcp://address:port``; port 0 takes a free one.
        identity: whose key this publisher holds.
        keyring: the lab's keys.
        journal: where items are written before they are sent; this stream's alone, record number = item number.

    Example::

        with Journal(run / "heralds.journal") as journal:
            async with StreamPublisher("tcp://127.0.1.9:5701", "midpoint", keyring, journal) as stream:
                stream.publish(payload)
    """

    def __init__(self, endpoint: str, identity: str, keyring: Keyring, journal: StreamJournal) -> None:
        self._journal = journal
        self._hub = Hub(
            endpoint,
            identity,
            keyring,
            STREAM,
            features=STREAM_FEATURES,
            silent_after_s=_SILENT_AFTER_S,
            on_message=self._receive,
            greet=self._greet,
        )
        self._boots = BootTable(journal.path.with_name(journal.path.name + ".boots"))
        self._boots.add(self._hub.boot_id, journal.last_seq + 1)
        self._fresh: list[tuple[int, int, bytes]] = []
        self._fresh_first = journal.last_seq + 1
        self._flush_soon: asyncio.Handle | None = None
        self._acked: dict[str, int] = {}
        self._ack_news = asyncio.Event()
        self._noting: asyncio.Task[None] | None = None

    @property
    def boot_id(self) -> bytes:
        """16 random bytes of this start."""
        return self._hub.boot_id

    @property
    def endpoint(self) -> str:
        """Where it is bound."""
        return self._hub.endpoint

    @property
    def last_seq(self) -> int:
        """Number of the last item, 0 when there is none."""
        return self._journal.last_seq

    @property
    def refused_sends(self) -> int:
        """How often a full or broken pipe refused a message; the items went later."""
        return self._hub.refused_sends

    def publish(self, payload: bytes, *, kind: int = 0) -> int:
        """Write an item to the journal, then send it; gives its number. Call it in the loop's thread.

        Args:
            payload: up to 1 MiB.
            kind: 0 to 255, the publisher's own meaning.

        Raises:
            QnodeError: the journal could not be written; nothing was sent and no number used.
        """
        if len(payload) > _MAX_PAYLOAD:
            raise MisuseError(
                f"an item of {len(payload)} bytes", hint="the most is 1 MiB; blocks go by the data plane"
            )
        wall_ns = time.time_ns()
        seq = self._journal.append(payload, kind=kind, wall_ns=wall_ns)
        if self._hub.open:
            if not self._fresh:
                self._fresh_first = seq
            self._fresh.append((kind, wall_ns, payload))
            # Sent at the end of this turn of the loop: what is published together travels together.
            if len(self._fresh) >= _BATCH_ITEMS:
                self._flush()
            else:
                self._flush_later()
        return seq

    def acked(self, identity: str) -> int:
        """Highest number that a subscriber of this identity has dealt with in this start, 0 before the first."""
        return self._acked.get(identity, 0)

    async def wait_acked(self, identity: str, seq: int, timeout_s: float = 5.0) -> None:
        """Return when ``identity`` has dealt with item ``seq``.

        Raises:
            NetworkError: not in ``timeout_s``.
        """
        give_up = time.monotonic() + timeout_s
        while self.acked(identity) < seq:
            self._ack_news.clear()
            try:
                async with asyncio.timeout(give_up - time.monotonic()):
                    await self._ack_news.wait()
            except TimeoutError:
                here = "connected" if identity in self.subscribers() else "not connected"
                raise NetworkError(
                    f"{identity} has dealt with {self.acked(identity)} of {seq} items of {self._hub.identity} "
                    f"after {timeout_s:g} s ({here})",
                    hint=f"is {identity} up? see `qnode status`",
                    waited_s=timeout_s,
                ) from None

    def subscribers(self) -> dict[str, int]:
        """Who is connected now: identity -> highest number acknowledged."""
        return {session.identity: self.acked(session.identity) for session in self._hub.sessions.values()}

    async def start(self) -> None:
        """Bind and serve from now on, in the running loop.

        Raises:
            NetworkError: the address is taken or not of this host.
            KeyMissingError: the publisher's key is not in the keyring.
        """
        await self._hub.start()
        self._noting = asyncio.get_running_loop().create_task(self._note_positions())

    async def close(self) -> None:
        """Close the socket; the journal stays the caller's."""
        if self._flush_soon is not None:
            self._flush()
        self._hub.close()
        if self._noting is not None:
            self._noting.cancel()
            await asyncio.gather(self._noting, return_exceptions=True)

    async def _note_positions(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_EVERY_S)
            self._flush()
            for session in list(self._hub.sessions.values()):
                cursor = cast(_Cursor, session.state)
                self._hub.send(session, PositionNote(self._journal.last_seq, cursor.sent))
            self._hub.sweep()

    def _greet(self, session: Session, hello: Hello) -> dict[str, int]:
        resume_after = self._boots.still_valid(hello.boot_id, hello.seq)
        session.state = _Cursor(resume_after)
        self._flush_later()  # the welcome goes first
        return {"resume_after": resume_after, "last_seq": self._journal.last_seq}

    def _receive(self, session: Session, message: Upstream) -> None:
        cursor = cast(_Cursor, session.state)
        if isinstance(message, Ack):
            cursor.note_acked(message.seq)
            if cursor.acked > self._acked.get(session.identity, -1):
                self._acked[session.identity] = cursor.acked
                self._ack_news.set()
        elif isinstance(message, Ask):
            cursor.go_back(message.first_seq)
        else:
            _log.warning("%s: %s sent a message of another plane", self._hub.identity, session.identity)
            return
        self._advance(session, cursor)

    def _flush_later(self) -> None:
        if self._flush_soon is None:
            self._flush_soon = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
        for session in list(self._hub.sessions.values()):
            self._advance(session, cast(_Cursor, session.state))
        self._fresh.clear()

    def _advance(self, session: Session, cursor: _Cursor) -> None:
        """Send what the window allows: fresh items from memory, older ones from the journal."""
        while cursor.sent < self._journal.last_seq and cursor.may_send():
            first = cursor.sent + 1
            boot_id, until = self._boots.maker(first)
            items = self._items(first, min(until, cursor.sent + _BATCH_ITEMS, cursor.acked + _WINDOW_ITEMS))
            if not self._hub.send(session, Items(boot_id, first, items)):
                return
            cursor.note_sent(first + len(items) - 1, sum(len(payload) for _, _, payload in items))

    def _items(self, first: int, last: int) -> list[tuple[int, int, bytes]]:
        if self._fresh and first >= self._fresh_first:
            start = first - self._fresh_first
            chosen = self._fresh[start : last + 1 - self._fresh_first]
            if sum(len(payload) for _, _, payload in chosen) <= _BATCH_BYTES:
                return chosen
        return [
            (stored.kind, stored.wall_ns, stored.payload)
            for stored in self._journal.read(first, last, max_bytes=_BATCH_BYTES)
        ]
