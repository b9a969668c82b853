"""The receiving end of the herald plane."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from qnode.bus._keys import Keyring
from qnode.bus._positions import Position, PositionStore
from qnode.bus._stream import BootChange, Item, StreamCounters

__all__ = ["StreamSubscriber"]


class StreamSubscriber:
    """Receives each item of a `StreamPublisher` once and in order, from where it stopped last time.

    An item counts as dealt with, is acknowledged and its position kept, when the next one is asked for. Asked for by
    iteration (one consumer) or by ``run(callback)``.

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
        raise NotImplementedError

    @property
    def connected(self) -> bool:
        """Whether the publisher has been heard in the last second."""
        raise NotImplementedError

    @property
    def silent_s(self) -> float:
        """Wall time since anything was heard from the publisher (it speaks every 50 ms)."""
        raise NotImplementedError

    @property
    def position(self) -> Position:
        """The last item that was dealt with."""
        raise NotImplementedError

    @property
    def counters(self) -> StreamCounters:
        """What was seen so far."""
        raise NotImplementedError

    @property
    def behind(self) -> int:
        """Items that the publisher has and this subscriber has not dealt with, by the publisher's last word."""
        raise NotImplementedError

    async def wait_connected(self, timeout_s: float = 5.0) -> None:
        """Return when the publisher has welcomed us.

        Raises:
            CallTimeoutError: it did not in ``timeout_s``.
            RefusedError: it does not know our key, our wire version or a feature.
        """

    async def run(self, on_item: Callable[[Item], Awaitable[None]]) -> None:
        """Hand every item to ``on_item`` until `close`, or until it raises."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        raise NotImplementedError

    async def start(self) -> None:
        """Begin to connect, in the running loop; returns at once."""

    async def close(self) -> None:
        """Close the socket and end the iteration. The item being dealt with is not acknowledged."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
