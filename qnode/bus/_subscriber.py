"""The receiving end of the herald plane."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

from qnode.bus._keys import Keyring
from qnode.bus._link import Link
from qnode.bus._positions import Position, PositionStore
from qnode.bus._running import Running
from qnode.bus._sockets import STREAM
from qnode.bus._stream import BootChange, Item, StreamCounters
from qnode.bus._wire import STREAM_FEATURES, Ack, Ask, Downstream, Items, PositionNote, Welcome

__all__ = ["StreamSubscriber"]

_SILENT_AFTER_S = 1.0
_ASK_AGAIN_S = 0.5
_ACK_AT_LEAST_EVERY_S = 0.5
_ACK_EVERY_ITEMS = 512


class StreamSubscriber(Running):
    """Receives each item of a `StreamPublisher` once and in order, from where it stopped last time.

    An item counts as dealt with, is acknowledged and its position kept, when the next one is asked for, or at `done`.
    There is one consumer: an iteration, or ``run(callback)``, which calls `done` by itself.

    Args:
        endpoint: ``tcp://address:port`` of the publisher.
        peer: whose key must answer there.
        own_identity: whose key we hold.
        keyring: the lab's keys.
        positions: where the position is kept; None starts at the journal's beginning each time.
        on_boot: called when the publisher has started anew, before its first item is handed on.
        late_after_s: items older than this (wall time) when handed on are counted as late.

    Example::

        async with StreamSubscriber("tcp://127.0.1.9:5701", "midpoint", "alice", keyring, positions) as stream:
            async for item in stream:
                await deal_with(item)
    """

    def __init__(
        self,
        endpoint: str,
        peer: str,
        own_identity: str,
        keyring: Keyring,
        positions: PositionStore | None = None,
        *,
        on_boot: Callable[[BootChange], None] | None = None,
        late_after_s: float = 1.0,
    ) -> None:
        self._link = Link(
            endpoint,
            peer,
            own_identity,
            keyring,
            STREAM,
            features=STREAM_FEATURES,
            on_welcome=self._welcome,
            on_message=self._receive,
            on_tick=self._tick,
            position=lambda: self._received,
        )
        self._positions = positions
        self._on_boot = on_boot
        self._late_after_ns = int(late_after_s * 1e9)
        self._dealt = positions.load() if positions is not None else Position()
        self._received = self._dealt
        self._peer_boot_id = self._dealt.boot_id
        self._peer_last_seq = self._dealt.seq
        self._queue: deque[Item] = deque()
        self._in_hand: Item | None = None
        self._news = asyncio.Event()
        self._counters = StreamCounters()
        self._welcomed = False
        self._asked_for = 0
        self._asked_at = 0.0
        self._acked = -1
        self._acked_at = 0.0
        self._ack_soon: asyncio.Handle | None = None

    @property
    def connected(self) -> bool:
        """Whether the publisher has been heard in the last second."""
        return self._link.up and self.silent_s < _SILENT_AFTER_S

    @property
    def silent_s(self) -> float:
        """Wall time since anything was heard from the publisher (it speaks every 50 ms)."""
        return time.monotonic() - self._link.heard_at

    @property
    def position(self) -> Position:
        """The last item that was dealt with."""
        return self._dealt

    @property
    def counters(self) -> StreamCounters:
        """What was seen so far."""
        return self._counters

    @property
    def behind(self) -> int:
        """Items that the publisher has and this subscriber has not dealt with, by the publisher's last word."""
        return max(self._peer_last_seq - self._dealt.seq, 0)

    async def wait_connected(self, timeout_s: float = 5.0) -> None:
        """Return when the publisher has welcomed us.

        Raises:
            CallTimeoutError: it did not in ``timeout_s``.
            RefusedError: it does not know our key, our wire version or a feature.
        """
        await self._link.wait_up(timeout_s)

    async def run(self, on_item: Callable[[Item], Awaitable[None]]) -> None:
        """Hand every item to ``on_item`` until `close`, or until it raises."""
        async for item in self:
            await on_item(item)
            self.done()

    def done(self) -> None:
        """Say that the item in hand is dealt with: its position is kept and acknowledged."""
        item, self._in_hand = self._in_hand, None
        if item is None:
            return
        self._dealt = Position(item.boot_id, item.seq)
        if self._positions is not None:
            self._positions.save(self._dealt)
        if item.seq - self._acked >= _ACK_EVERY_ITEMS:
            self._ack()
        elif self._ack_soon is None:
            self._ack_soon = asyncio.get_running_loop().call_soon(self._ack)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        self.done()
        while not self._queue:
            if self._link.closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        if self._link.closed:
            raise StopAsyncIteration
        item = self._queue.popleft()
        self._in_hand = item
        self._counters.delivered += 1
        if time.time_ns() - item.wall_ns > self._late_after_ns:
            self._counters.late += 1
        return item

    async def start(self) -> None:
        """Begin to connect, in the running loop; returns at once."""
        self._link.start()

    async def close(self) -> None:
        """Close the socket and end the iteration. The item in hand is not acknowledged: see `done`."""
        if self._ack_soon is not None:
            self._ack()
        self._link.close()
        self._news.set()

    def _welcome(self, welcome: Welcome) -> None:
        if self._welcomed:
            self._counters.reconnects += 1
        self._welcomed = True
        self._peer_last_seq = welcome.last_seq
        self._asked_for = 0
        taken_back = self._fall_back(welcome.resume_after)
        old, self._peer_boot_id = self._peer_boot_id, welcome.boot_id
        if old != welcome.boot_id:
            self._counters.boots += bool(old)
            if self._on_boot is not None:
                self._on_boot(BootChange(old, welcome.boot_id, taken_back))

    def _fall_back(self, valid_seq: int) -> range:
        """Forget what the publisher's journal no longer holds; gives the numbers that had been handed on."""
        if valid_seq >= self._received.seq:
            return range(0)
        handed = self._dealt.seq
        if self._in_hand is not None:
            handed = self._in_hand.seq
            if handed > valid_seq:
                self._in_hand = None
        self._queue = deque(item for item in self._queue if item.seq <= valid_seq)
        self._received = Position(self._received.boot_id, valid_seq)
        if self._dealt.seq > valid_seq:
            self._dealt = self._received
        return range(valid_seq + 1, handed + 1)

    def _receive(self, message: Downstream) -> None:
        if isinstance(message, Items):
            self._take(message)
        elif isinstance(message, PositionNote):
            self._peer_last_seq = message.last_seq
            if message.sent_seq > self._received.seq:
                self._gap()

    def _take(self, batch: Items) -> None:
        expected = self._received.seq + 1
        if batch.first_seq > expected:
            self._gap()
            return
        old = expected - batch.first_seq
        self._counters.duplicates += min(old, len(batch.items))
        if old >= len(batch.items):
            return
        for seq, (kind, wall_ns, payload) in enumerate(itertools.islice(batch.items, old, None), expected):
            self._queue.append(Item(batch.boot_id, seq, kind, wall_ns, payload))
        last = self._queue[-1].seq
        self._received = Position(batch.boot_id, last)
        self._peer_last_seq = max(self._peer_last_seq, last)
        self._news.set()

    def _gap(self) -> None:
        """Ask for what is missing; what still arrives of the old round is no new gap."""
        missing = self._received.seq + 1
        now = time.monotonic()
        if self._asked_for == missing and now - self._asked_at < _ASK_AGAIN_S:
            return
        if self._asked_for != missing:
            self._counters.gaps += 1
        if self._link.send(Ask(missing)):
            self._counters.replays += 1
            self._asked_for = missing
            self._asked_at = now

    def _ack(self) -> None:
        if self._ack_soon is not None:
            self._ack_soon.cancel()
            self._ack_soon = None
        if self._link.send(Ack(self._dealt.seq)):
            self._acked = self._dealt.seq
            self._acked_at = time.monotonic()

    def _tick(self) -> None:
        # Also with nothing new: the publisher ends sessions that are silent for seconds.
        if self._acked != self._dealt.seq or time.monotonic() - self._acked_at > _ACK_AT_LEAST_EVERY_S:
            self._ack()
