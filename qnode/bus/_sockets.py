"""The one function that makes sockets, and the pump that ties them to an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from qnode.bus._keys import KeyPair, Keyring
from qnode.bus._zap import context, register_domain

__all__ = ["ANSWERS", "COMMANDS", "STREAM", "TAP", "Pump", "Traffic", "make_socket"]

_HEARTBEAT_MS = 200
_HEARTBEAT_TIMEOUT_MS = 600
_RECONNECT_MS = 50
_RECONNECT_MAX_MS = 500
_HANDSHAKE_MS = 2000
_MAX_MESSAGE_BYTES = 80 * 1024 * 1024
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many messages may wait in a pipe before ``send`` refuses, each way."""

    send_hwm: int
    receive_hwm: int


COMMANDS = Traffic(send_hwm=10, receive_hwm=1000)
"""Few: a command that waits in a pipe behind a cut would arrive stale."""
ANSWERS = Traffic(send_hwm=1000, receive_hwm=1000)
"""The same plane from the answering end: callers bound the age of answers by their own time-outs."""
STREAM = Traffic(send_hwm=64, receive_hwm=256)
"""Messages are batches here, and the journal heals what is refused."""
TAP = Traffic(send_hwm=1000, receive_hwm=1000)


def make_socket(
    kind: int, own: KeyPair, traffic: Traffic, *, admits: Keyring | None = None, server_key: bytes | None = None
) -> zmq.Socket[bytes]:
    """Make a socket of ours, CURVE always on.

    Args:
        kind: ``zmq.ROUTER``, ``zmq.DEALER``, ``zmq.PUB`` or ``zmq.SUB``.
        own: our pair.
        traffic: high-water marks.
        admits: for the end that binds: whose keys come in.
        server_key: for the end that connects: the public key that must answer.
    """
    socket = context().socket(kind)
    socket.linger = 0
    socket.sndhwm = traffic.send_hwm
    socket.rcvhwm = traffic.receive_hwm
    socket.maxmsgsize = _MAX_MESSAGE_BYTES
    # A cut is noticed within about half a second each way, and nothing is queued for a peer that is not there.
    socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.HEARTBEAT_TTL, _HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.IMMEDIATE, 1)
    socket.set(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.set(zmq.CONNECT_TIMEOUT, _HANDSHAKE_MS)
    socket.curve_publickey = own.public
    socket.curve_secretkey = own.secret
    if admits is not None:
        socket.curve_server = True
        socket.set(zmq.ZAP_DOMAIN, register_domain(admits))
        # Without this libzmq lets every key in as soon as the handler is missing.
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
    else:
        socket.curve_serverkey = server_key
    if kind == zmq.ROUTER:
        # A refused send must be an event, not a silent loss.
        socket.set(zmq.ROUTER_MANDATORY, 1)
    return socket


class Pump:
    """Hands each message of a socket to a callback, in the event loop.

    ZeroMQ's descriptor is edge-triggered, and a *send* takes the edge too: so EVENTS is looked at after every send,
    and a drain goes on until the socket is empty or puts itself on the loop again.

    Args:
        socket: ours to read and write from now on.
        receive: reads one message with ``zmq.NOBLOCK`` and deals with it; raises ``zmq.Again`` on an empty socket.
        on_writable: called when a pipe takes messages again after it had refused one. Not for a ROUTER, which
            always calls itself writable.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], receive: Callable[[], None], on_writable: Callable[[], None] | None = None
    ) -> None:
        self._socket = socket
        self._receive = receive
        self._on_writable = on_writable
        self._refused = False
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.Handle | None = None
        self._closed = False
        self._fd = int(socket.get(zmq.FD))
        self._loop.add_reader(self._fd, self._drain)
        self._look()

    def send(self, frames: list[bytes]) -> bool:
        """Send without waiting; False when the pipe is full or there is none.

        Raises:
            zmq.ZMQError: EHOSTUNREACH of a ROUTER whose peer is gone.
        """
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            self._refused = self._on_writable is not None
            return False
        finally:
            self._look()
        return True

    def close(self) -> None:
        """Let go of the loop; the socket stays the owner's."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fd)
            if self._again is not None:
                self._again.cancel()

    def _look(self) -> None:
        if self._closed or self._again is not None:
            return
        events = int(self._socket.get(zmq.EVENTS))
        if events & zmq.POLLIN or (self._refused and events & zmq.POLLOUT):
            self._again = self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for _ in range(_BATCH):
            if self._closed:
                return
            try:
                self._receive()
            except zmq.Again:
                break
        if self._closed:
            return
        if self._refused and self._on_writable is not None and int(self._socket.get(zmq.EVENTS)) & zmq.POLLOUT:
            self._refused = False
            self._on_writable()
        self._look()
