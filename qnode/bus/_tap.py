"""The tap: live counts, parameters, alarms, log. For eyes only: it may lose."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import msgspec
import zmq

from qnode.bus._hub import bind
from qnode.bus._keys import Keyring
from qnode.bus._running import Running
from qnode.bus._sockets import TAP, Pump, make_socket
from qnode.bus._wire import encode
from qnode.errors import MisuseError, NetworkError

__all__ = ["TapMessage", "TapPublisher", "TapSubscriber"]

_KEEP = 1000

_log = logging.getLogger(__name__)


class TapMessage(NamedTuple):
    """One message of a tap."""

    topic: str
    payload: Any
    wall_ns: int
    """Publisher's wall time, nanoseconds since 1970."""


class TapPublisher(Running):
    """Sends to whoever listens; never waits, never keeps.

    Example::

        async with TapPublisher("tcp://127.0.1.1:5702", "alice", keyring) as tap:
            tap.send("counts.readout", {"rate_hz": 812.0})
    """

    def __init__(self, endpoint: str, identity: str, keyring: Keyring) -> None:
        self._endpoint = endpoint
        self._identity = identity
        self._keyring = keyring
        self._socket: zmq.Socket[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it is bound."""
        return self._endpoint

    def send(self, topic: str, payload: Any) -> None:
        """Send ``payload`` (what msgpack carries) under ``topic``, in the loop's thread; full pipes drop it.

        Raises:
            MisuseError: not started, or the payload can't travel.
        """
        if self._socket is None:
            raise MisuseError(f"the tap of {self._identity} is not started", hint="start it before sending")
        try:
            body = encode((time.time_ns(), payload))
        except (TypeError, ValueError, OverflowError) as error:
            raise MisuseError(f"the payload of {topic} can't travel: {error}", hint="give plain values") from error
        self._socket.send_multipart([topic.encode(), body], zmq.NOBLOCK)

    async def start(self) -> None:
        """Bind, in the running loop.

        Raises:
            NetworkError: the address is taken or not of this host.
            KeyMissingError: the publisher's key is not in the keyring.
        """
        socket = make_socket(zmq.PUB, self._keyring.pair(self._identity), TAP, admits=self._keyring)
        try:
            self._endpoint = await bind(socket, self._endpoint, self._identity)
        except BaseException:
            socket.close()
            raise
        self._socket = socket

    async def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class TapSubscriber(Running):
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
        self._endpoint = endpoint
        self._peer = peer
        self._own_identity = own_identity
        self._keyring = keyring
        self._topics = tuple(topics)
        self._queue: deque[TapMessage] = deque()
        self._dropped = 0
        self._news = asyncio.Event()
        self._socket: zmq.Socket[bytes] | None = None
        self._pump: Pump | None = None

    @property
    def dropped(self) -> int:
        """Messages thrown away here because nobody asked for them in time."""
        return self._dropped

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TapMessage:
        while not self._queue:
            if self._pump is None:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._queue.popleft()

    async def start(self) -> None:
        """Begin to connect, in the running loop.

        Raises:
            NetworkError: the endpoint is none.
            KeyMissingError: a key is not in the keyring.
        """
        own, server_key = self._keyring.pair(self._own_identity), self._keyring.public(self._peer)
        self._socket = make_socket(zmq.SUB, own, TAP, server_key=server_key)
        for topic in self._topics:
            self._socket.subscribe(topic)
        try:
            self._socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            raise NetworkError(
                f"{self._endpoint} of {self._peer} is no endpoint: {error.strerror}",
                hint="check the address in the lab file",
            ) from error
        self._pump = Pump(self._socket, self._receive)

    async def close(self) -> None:
        """Close the socket and end the iteration."""
        if self._pump is not None and self._socket is not None:
            self._pump.close()
            self._socket.close()
            self._pump = self._socket = None
        self._news.set()

    def _receive(self) -> None:
        if self._socket is None:
            raise zmq.Again
        topic, body = self._socket.recv_multipart(zmq.NOBLOCK)
        try:
            wall_ns, payload = msgspec.msgpack.decode(body)
        except (ValueError, TypeError) as error:
            _log.warning("dropped a tap message of %s that is not of this wire: %s", self._peer, error)
            return
        if len(self._queue) >= _KEEP:
            self._queue.popleft()
            self._dropped += 1
        self._queue.append(TapMessage(topic.decode(errors="replace"), payload, wall_ns))
        self._news.set()
