"""Who may connect: the ZAP handler of this process, and the ZeroMQ context that it guards.

Our own sixty lines instead of pyzmq's authenticator: that thread can die unseen and leaves every later connection
waiting, and it knows public keys only, while a session needs the name that belongs to one.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading

import zmq
from zmq.utils import z85

from qnode.bus._keys import Keyring

__all__ = ["context", "register_domain", "split_user_id"]

_ENDPOINT = "inproc://zeromq.zap.01"
_FRAMES = 7  # version, id, domain, address, routing id, mechanism, key

_log = logging.getLogger(__name__)


class _Gate:
    """One context and the thread that answers its handshakes."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, 4096)
        self._domains: dict[bytes, Keyring] = {}
        self._numbers = itertools.count(1)
        socket = self.context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.bind(_ENDPOINT)
        threading.Thread(target=self._serve, args=(socket,), name="qnode-zap", daemon=True).start()

    def register(self, keyring: Keyring) -> bytes:
        for name, known in self._domains.items():
            if known.folder == keyring.folder:
                return name
        name = b"qnode-%d" % next(self._numbers)
        self._domains[name] = keyring
        return name

    def _serve(self, socket: zmq.Socket[bytes]) -> None:
        while True:
            try:
                frames = socket.recv_multipart()
            except zmq.ContextTerminated:
                socket.close()
                return
            split = frames.index(b"") + 1
            try:
                answer = self._answer(frames[split:])
            except Exception:
                # One bad request must never end the thread: without it nobody gets in any more.
                _log.exception("a handshake could not be judged")
                answer = [b"1.0", frames[split + 1], b"500", b"could not be judged", b"", b""]
            socket.send_multipart(frames[:split] + answer)

    def _answer(self, request: list[bytes]) -> list[bytes]:
        keyring = self._domains.get(request[2]) if len(request) >= _FRAMES else None
        if keyring is None or request[5] != b"CURVE":
            return [b"1.0", request[1], b"400", b"not for this domain or mechanism", b"", b""]
        key = z85.encode(request[6])
        # Read at each handshake: a key that has just been made, or taken away, counts from now on.
        identity = keyring.identities().get(key)
        if identity is None:
            _log.warning("refused a connection from %s with unknown key %s", request[3].decode(), key.decode())
            return [b"1.0", request[1], b"400", b"unknown key", b"", b""]
        return [b"1.0", request[1], b"200", b"OK", identity.encode() + b" " + key, b""]


_lock = threading.Lock()
_gate: _Gate | None = None


def _current() -> _Gate:
    """Give this process's gate; a forked child makes its own, for threads and sockets don't survive a fork."""
    global _gate
    with _lock:
        if _gate is None or _gate.pid != os.getpid():
            _gate = _Gate()
        return _gate


def context() -> zmq.Context[zmq.Socket[bytes]]:
    """Give the one ZeroMQ context of this process, its handshakes guarded."""
    return _current().context


def register_domain(keyring: Keyring) -> bytes:
    """Give the ZAP domain under which a server socket admits the keys of ``keyring`` only."""
    return _current().register(keyring)


def split_user_id(user_id: str) -> tuple[str, bytes]:
    """Take a connection's ``User-Id`` apart: identity and public key."""
    identity, _, key = user_id.partition(" ")
    return identity, key.encode()
