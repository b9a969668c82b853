"""The tap: live counts, parameters, alarms, log. For eyes only: it may lose."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self

from qnode.bus._keys import Keyring

__all__ = ["TapMessage", "TapPublisher", "TapSubscriber"]


class TapMessage(NamedTuple):
    """One message of a tap."""

    topic: str
    payload: Any
    wall_ns: int
    """Publisher's wall time, nanoseconds since 1970."""


class TapPublisher:
    """Sends to whoever listens; never waits, never keeps.

    Example::

        async with TapPublisher("tcp://127.0.1.1:5702", "alice", keyring) as tap:
            tap.send("counts.readout", {"rate_hz": 812.0})
    """

    def __init__(self, endpoint: str, identity: str, keyring: Keyring) -> None:
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        """Where it is bound."""
        raise NotImplementedError

    def send(self, topic: str, payload: Any) -> None:
        """Send ``payload`` (what msgpack carries) under ``topic``, in the loop's thread; full pipes drop it."""

    async def start(self) -> None:
        """Bind, in the running loop."""

    async def close(self) -> None:
        """Close the socket."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class TapSubscriber:
    """Listens to a tap; gives the newest messages, and counts what it could not.

    Args:
        endpoint: ``tcp://address:port`` of the tap.
        peer: whose key must answer there.
        own_identity: whose key we hold.
        keyring: the lab's keys.
        topics: beginnings of the topics wanted; default all.

    Example::

        async with TapSubscriber("tcp://127.0.1.1:5702", "alice", "operator", keyring, ["counts."]) as tap:
            async for message in tap:
                show(message.topic, message.payload)
    """

    def __init__(
        self, endpoint: str, peer: str, own_identity: str, keyring: Keyring, topics: Iterable[str] = ("",)
    ) -> None:
        raise NotImplementedError

    @property
    def dropped(self) -> int:
        """Messages thrown away here because nobody asked for them in time."""
        raise NotImplementedError

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TapMessage:
        raise NotImplementedError

    async def start(self) -> None:
        """Begin to connect, in the running loop."""

    async def close(self) -> None:
        """Close the socket and end the iteration."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
