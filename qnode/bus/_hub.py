"""The end that binds: sessions behind a ROUTER. `Server` and `StreamPublisher` are built on it."""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec
import zmq

from qnode.bus._errors import RefusedError
from qnode.bus._keys import Keyring
from qnode.bus._sockets import Pump, Traffic, make_socket
from qnode.bus._wire import (
    WIRE_VERSION,
    Downstream,
    Hello,
    Refused,
    StrangeSession,
    Upstream,
    Welcome,
    decode_upstream,
    encode,
    pack_error,
    wrong_version,
)
from qnode.bus._zap import split_user_id
from qnode.errors import NetworkError

__all__ = ["Hub", "Session", "bind"]

_BIND_FOR_S = 2.0
_KEYS_CHECKED_EVERY_S = 1.0
_TOKEN_BYTES = 16

_log = logging.getLogger(__name__)


class Session:
    """One connection of one peer, from its hello on."""

    def __init__(self, identity: str, key: bytes, routing_id: bytes, token: bytes) -> None:
        self.identity = identity
        self.key = key
        self.routing_id = routing_id
        self.token = token
        self.heard_at = time.monotonic()
        self.state: Any = None
        """The owner's own."""


async def bind(socket: zmq.Socket[bytes], endpoint: str, identity: str) -> str:
    """Bind and give the endpoint with its real port.

    Raises:
        NetworkError: the address is taken or not of this host.
    """
    give_up = time.monotonic() + _BIND_FOR_S
    while True:
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            # The listener of a process that has just ended goes a moment later than the process.
            if error.errno == errno.EADDRINUSE and time.monotonic() < give_up:
                await asyncio.sleep(0.02)
                continue
            taken = error.errno == errno.EADDRINUSE
            raise NetworkError(
                f"{identity} can't bind {endpoint}: {error.strerror}",
                hint="another process has it: see `qnode status`" if taken else "check the address in the lab file",
                endpoint=endpoint,
            ) from error
        return socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")


class Hub:
    """A bound ROUTER whose peers have said hello, each message checked by the session's token.

    Args:
        endpoint: where to bind.
        identity: whose key answers.
        keyring: who may come in.
        traffic: high-water marks.
        features: what a hello may ask for.
        on_message: gets (session, message) of each peer that is in.
        greet: gets (session, hello) and gives what the welcome says beside the token.
        on_gone: gets a session that has ended.
    """

    def __init__(
        self,
        endpoint: str,
        identity: str,
        keyring: Keyring,
        traffic: Traffic,
        *,
        features: tuple[str, ...],
        silent_after_s: float,
        on_message: Callable[[Session, Upstream], None],
        greet: Callable[[Session, Hello], dict[str, int]] = lambda _session, _hello: {},
        on_gone: Callable[[Session], None] = lambda _session: None,
    ) -> None:
        self.endpoint = endpoint
        self.identity = identity
        self.boot_id = secrets.token_bytes(16)
        self.sessions: dict[bytes, Session] = {}
        self.refused_sends = 0
        self._keyring = keyring
        self._traffic = traffic
        self._features = features
        self._silent_after_s = silent_after_s
        self._on_message = on_message
        self._greet = greet
        self._on_gone = on_gone
        self._keys_checked_at = 0.0
        self._socket: zmq.Socket[bytes] | None = None
        self._pump: Pump | None = None

    @property
    def open(self) -> bool:
        """Whether it is bound."""
        return self._pump is not None

    async def start(self) -> None:
        """Bind and receive from now on, in the running loop."""
        if self._pump is not None:
            return
        socket = make_socket(zmq.ROUTER, self._keyring.pair(self.identity), self._traffic, admits=self._keyring)
        try:
            self.endpoint = await bind(socket, self.endpoint, self.identity)
        except BaseException:
            socket.close()
            raise
        self._socket = socket
        self._pump = Pump(socket, self._receive)

    def close(self) -> None:
        """Close the socket; peers see the connection break."""
        if self._pump is not None and self._socket is not None:
            self._pump.close()
            self._socket.close()
            self._pump = self._socket = None
            for session in list(self.sessions.values()):
                self._end(session)

    def send(self, session: Session, message: Downstream) -> bool:
        """Send without waiting; False when the pipe is full or gone (a session whose pipe is gone ends)."""
        return self._send(session.routing_id, message, session)

    def sweep(self) -> None:
        """End the sessions that are silent for too long or whose key was taken out of the keyring."""
        now = time.monotonic()
        check_keys = now - self._keys_checked_at > _KEYS_CHECKED_EVERY_S
        if check_keys:
            self._keys_checked_at = now
        for session in list(self.sessions.values()):
            revoked = check_keys and self._keyring.find_public(session.identity) != session.key
            if revoked:
                _log.warning("%s: the key of %s was taken away, its session ends", self.identity, session.identity)
            if revoked or now - session.heard_at > self._silent_after_s:
                self._end(session)

    def _send(self, routing_id: bytes, message: Downstream, session: Session | None) -> bool:
        if self._pump is None:
            return False
        try:
            sent = self._pump.send([routing_id, b"", encode(message)])
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            sent = False
            if session is not None:
                self._end(session)
        if not sent:
            self.refused_sends += 1
        return sent

    def _end(self, session: Session) -> None:
        if self.sessions.pop(session.token, None) is not None:
            self._on_gone(session)

    def _receive(self) -> None:
        socket = self._socket
        if socket is None:
            raise zmq.Again
        routing_id = socket.recv(zmq.NOBLOCK)
        frames: list[bytes] = []
        user_id: str | None = None
        while socket.get(zmq.RCVMORE):
            if len(frames) == 1 and not frames[0]:
                # Only a hello comes without a token, and only there is the key looked at: it costs a third of the
                # rate on every message. The gate sets it on every connection that it lets in.
                frame = socket.recv(zmq.NOBLOCK, copy=False)
                user_id = str(frame.get("User-Id"))
                frames.append(frame.bytes)
            else:
                frames.append(socket.recv(zmq.NOBLOCK))
        if len(frames) != 2:
            _log.warning("%s: dropped a message of %d frames", self.identity, len(frames))
            return
        try:
            message = decode_upstream(frames[1])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            _log.warning("%s: dropped a message that is not of this wire: %s", self.identity, error)
            return
        if isinstance(message, Hello):
            self._hello(routing_id, user_id, message)
            return
        session = self.sessions.get(frames[0])
        if session is None or session.routing_id != routing_id:
            self._send(routing_id, StrangeSession(), None)
            return
        session.heard_at = time.monotonic()
        self._on_message(session, message)

    def _hello(self, routing_id: bytes, user_id: str | None, hello: Hello) -> None:
        if user_id is None:
            _log.warning("%s: dropped a hello inside a session", self.identity)
            return
        identity, key = split_user_id(user_id)
        for old in [session for session in self.sessions.values() if session.routing_id == routing_id]:
            self._end(old)
        refusal = wrong_version(hello, self._features, self.identity)
        if refusal is None and self._keyring.find_public(identity) != key:
            refusal = RefusedError(
                f"{self.identity} no longer knows the key of {identity}", hint="give it the key's .pub again"
            )
        if refusal is not None:
            _log.warning("%s refused %s: %s", self.identity, identity, refusal)
            self._send(routing_id, Refused(pack_error(refusal, self.identity)), None)
            return
        session = Session(identity, key, routing_id, secrets.token_bytes(_TOKEN_BYTES))
        welcome = Welcome(
            WIRE_VERSION,
            self._features,
            session.token,
            self.boot_id,
            hello.stamp_ns,
            time.monotonic_ns(),
            **self._greet(session, hello),
        )
        if self._send(routing_id, welcome, None):
            self.sessions[session.token] = session
