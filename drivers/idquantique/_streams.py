"""Time stamps as the DataLinkTarget streams them: one ZeroMQ PAIR socket a channel."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

__all__ = ["PairStreams"]

_QUEUED_MESSAGES = 100_000
"""Held for a slow reader, one message a sub-acquisition; when full the DataLinkTarget waits, nothing is lost."""
_MAX_READ_BYTES = 64 << 20
"""Of one `PairStreams.drain`, so that a stream faster than its reader can't hold it for ever."""


class PairStreams:
    """The streams of one recording, by channel.

    Args:
        context: ZeroMQ context that they live in.
    """

    def __init__(self, context: zmq.Context[Any]) -> None:
        self._context = context
        self._sockets: dict[int, zmq.Socket[Any]] = {}
        self._poller = zmq.Poller()

    def connect(self, channel: int, endpoint: str, timeout_s: float) -> None:
        """Connect to the stream of ``channel``.

        Raises:
            TimeoutError: nobody greets there within ``timeout_s``.
        """
        socket = self._context.socket(zmq.PAIR)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, _QUEUED_MESSAGES)
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        try:
            socket.connect(endpoint)
            if not monitor.poll(round(timeout_s * 1000)):
                raise TimeoutError(f"no stream at {endpoint} within {timeout_s:g} s")
            recv_monitor_message(monitor)
        except BaseException:
            socket.close(linger=0)
            raise
        finally:
            if not socket.closed:
                socket.disable_monitor()
            monitor.close(linger=0)
        self._sockets[channel] = socket
        self._poller.register(socket, zmq.POLLIN)

    def drain(self, timeout_s: float) -> Mapping[int, bytes]:
        """All messages that are there, joined by channel; waits up to ``timeout_s`` for the first one."""
        deadline = time.monotonic() + timeout_s
        chunks: dict[int, list[bytes]] = {}
        size = 0
        while size < _MAX_READ_BYTES:
            waiting_s = 0.0 if chunks else max(0.0, deadline - time.monotonic())
            ready = dict(self._poller.poll(round(waiting_s * 1000)))
            if not ready:
                break
            for channel, socket in self._sockets.items():
                if socket in ready:
                    messages = _take(socket)
                    size += sum(map(len, messages))
                    chunks.setdefault(channel, []).extend(messages)
        return {channel: data for channel in sorted(chunks) if (data := b"".join(chunks[channel]))}

    def close(self) -> None:
        """Leave all streams; what is queued is dropped."""
        for socket in self._sockets.values():
            self._poller.unregister(socket)
            socket.close(linger=0)
        self._sockets.clear()


def _take(socket: zmq.Socket[Any], at_most: int = 1000) -> list[bytes]:
    messages: list[bytes] = []
    while len(messages) < at_most:
        try:
            messages.append(socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            break
    return messages
