"""ZeroMQ sockets in an asyncio loop, by their file descriptor.

That descriptor is edge-triggered, and a send eats the edge; so EVENTS is looked at until it is quiet, after each
wake-up and after each send.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import zmq

from qnode.errors import InstrumentError

__all__ = ["ReplySocket", "StreamSocket"]

_HIGH_WATER_MESSAGES = 100_000
_QUEUE_BYTES = 64 << 20
_LINGER_MS = 500


def _bind(socket: zmq.Socket[bytes], name: str, endpoint: str) -> None:
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as fault:
        socket.close(0)
        if fault.errno == zmq.EADDRINUSE:
            what, hint = (
                "is busy: another program listens there",
                "stop it, or is this lab up already? See `qnode status`",
            )
        else:
            what, hint = f"can't be bound ({fault.strerror})", "is the address on this machine?"
        raise InstrumentError(f"{name}: {endpoint} {what}", hint=hint, endpoint=endpoint) from None


def _events(socket: zmq.Socket[bytes]) -> int:
    return int(socket.getsockopt(zmq.EVENTS))


class ReplySocket:
    """A REP socket: each request is answered by what ``answer`` returns.

    Raises:
        InstrumentError: the endpoint is busy or not on this machine.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], name: str, endpoint: str, answer: Callable[[str], str]
    ):
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._socket = context.socket(zmq.REP)
        _bind(self._socket, name, endpoint)
        self._fd = self._socket.fileno()
        self._loop.add_reader(self._fd, self._answer_one)

    def close(self) -> None:
        """Stop listening; an answer under way is lost."""
        self._loop.remove_reader(self._fd)
        self._socket.close(0)

    def _answer_one(self) -> None:
        """One request a turn of the loop: what was scheduled before the next request came runs before it."""
        if not self._socket.closed and _events(self._socket) & zmq.POLLIN:
            request = self._socket.recv(zmq.NOBLOCK)
            self._socket.send(self._answer(request.decode("utf-8", errors="replace")).encode(), zmq.NOBLOCK)
            self._loop.call_soon(self._answer_one)


class StreamSocket:
    """A PAIR socket that a client connects to; what it does not take waits in a bounded queue.

    Raises:
        InstrumentError: the endpoint is busy or not on this machine.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], name: str, endpoint: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._socket = context.socket(zmq.PAIR)
        self._socket.set(zmq.SNDHWM, _HIGH_WATER_MESSAGES)
        _bind(self._socket, name, endpoint)
        self._fd = self._socket.fileno()
        self._loop.add_reader(self._fd, self._flush)

    def send(self, message: bytes | memoryview) -> bool:
        """Queue one message; False: the queue is full and the message is lost."""
        if self._queued + len(message) > _QUEUE_BYTES:
            return False
        self._queue.append(message)
        self._queued += len(message)
        return True

    def flush(self) -> None:
        """Send what the client takes; call it after a batch of `send`."""
        self._flush()

    def close(self, *, linger: bool) -> None:
        """Close; with ``linger``, what has been sent still reaches the client, for a short while."""
        if linger:
            self._flush()
        self._loop.remove_reader(self._fd)
        self._socket.close(_LINGER_MS if linger else 0)

    def _flush(self) -> None:
        while True:
            events = _events(self._socket)
            if events & zmq.POLLIN:
                self._socket.recv(zmq.NOBLOCK)  # the stream goes one way; a client's words are dropped
            elif events & zmq.POLLOUT and self._queue:
                self._send_some()
            else:
                return

    def _send_some(self) -> None:
        queue, send = self._queue, self._socket.send
        try:
            while queue:
                message = queue[0]
                send(message, zmq.NOBLOCK)
                queue.popleft()
                self._queued -= len(message)
        except zmq.Again:
            return
