"""The end that connects: a DEALER that says hello, and again after each cut under `Client` and `StreamSubscriber`."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
import zmq
from zmq.utils.monitor import parse_monitor_message

from qnode.bus._errors import CallTimeoutError, RefusedError
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
    decode_downstream,
    encode,
    unpack_error,
)
from qnode.errors import NetworkError, QnodeError

__all__ = ["Link"]

_TICK_S = 0.05
_HELLO_AGAIN_S = 1.0
_KNOCK_AGAIN_S = 0.5
_SILENT = "it takes connections and says nothing: its process is suspended, or far too busy"
_WATCHED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
)

_log = logging.getLogger(__name__)


class Link:
    """A connection to one peer that mends itself.

    Args:
        endpoint: where the peer is bound.
        peer: whose key must answer.
        own_identity: whose key we hold.
        keyring: the lab's keys.
        traffic: high-water marks.
        features: what we ask for.
        on_welcome: called at each new session.
        on_message: gets what the peer sends.
        on_down: called when the session is over, or the peer refuses us (see `refusal`).
        on_writable: called when a refused send may be tried again.
        on_tick: called every 50 ms.
        position: (boot id, number) for the hello of a subscriber.
    """

    def __init__(
        self,
        endpoint: str,
        peer: str,
        own_identity: str,
        keyring: Keyring,
        traffic: Traffic,
        *,
        features: tuple[str, ...],
        on_welcome: Callable[[Welcome], None],
        on_message: Callable[[Downstream], None],
        on_down: Callable[[], None] = lambda: None,
        on_writable: Callable[[], None] = lambda: None,
        on_tick: Callable[[], None] = lambda: None,
        position: Callable[[], tuple[bytes, int]] = lambda: (b"", 0),
    ) -> None:
        self.endpoint = endpoint
        self.peer = peer
        self.own_identity = own_identity
        self.refusal: QnodeError | None = None
        self.heard_at = time.monotonic()
        self.clock_offset_ns = 0
        """Peer's monotonic clock minus ours, good to half the round trip of the hello."""
        self._keyring = keyring
        self._traffic = traffic
        self._features = features
        self._on_welcome = on_welcome
        self._on_message = on_message
        self._on_down = on_down
        self._on_writable = on_writable
        self._on_tick = on_tick
        self._position = position
        self._token = b""
        self._attached = False
        self._hello_at = 0.0
        self._knock_at: float | None = None
        self._trouble = "nothing answers there"
        self._down_at: float | None = None
        self._changed = asyncio.Event()
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._pump: Pump | None = None
        self._monitor_pump: Pump | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def up(self) -> bool:
        """Whether a session stands."""
        return bool(self._token)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def start(self) -> None:
        """Begin to connect, in the running loop."""
        if self._closed:
            raise NetworkError(f"the connection to {self.peer} at {self.endpoint} is closed", hint="make a new one")
        if self._socket is not None:
            return
        socket = make_socket(
            zmq.DEALER,
            self._keyring.pair(self.own_identity),
            self._traffic,
            server_key=self._keyring.public(self.peer),
        )
        self._socket = socket
        self._monitor = socket.get_monitor_socket(_WATCHED)
        self._monitor_pump = Pump(self._monitor, self._receive_event)
        self._pump = Pump(socket, self._receive, self._on_writable)
        try:
            socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise NetworkError(
                f"{self.endpoint} of {self.peer} is no endpoint: {error.strerror}",
                hint="check the address in the lab file",
            ) from error
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def wait_up(self, timeout_s: float) -> None:
        """Return when a session stands."""
        self.start()
        give_up = time.monotonic() + timeout_s
        while not self.up:
            if self.refusal is not None:
                raise self.refusal
            if self._closed:
                raise NetworkError(f"the connection to {self.peer} was closed", hint="make a new one")
            self._changed.clear()
            try:
                async with asyncio.timeout(give_up - time.monotonic()):
                    await self._changed.wait()
            except TimeoutError:
                raise self.timeout_error("the connection", timeout_s) from None

    def timeout_error(self, what: str, waited_s: float) -> CallTimeoutError:
        """Say that the peer did not give ``what``, what is known about why, and what to do."""
        if self.up:
            state, hint = "it is connected", f"it is busy or hangs: see `qnode logs` of {self.peer}"
        else:
            state, hint = self._trouble, f"is {self.peer} up? see `qnode status`"
            if state == _SILENT:
                hint = f"`kill -CONT` it where `ps` shows state T; else see `qnode logs` of {self.peer}"
            if self._down_at is not None:
                state += f", for {time.monotonic() - self._down_at:.1f} s"
        return CallTimeoutError(
            f"{self.peer} at {self.endpoint} did not give {what} within {waited_s:g} s ({state})",
            hint=hint,
            peer=self.peer,
            endpoint=self.endpoint,
            waited_s=waited_s,
        )

    def send(self, message: Upstream) -> bool:
        """Send without waiting; False when there is no session or its pipe is full."""
        return self.up and self._pump is not None and self._pump.send([self._token, encode(message)])

    def close(self) -> None:
        """Close the socket; a second close does nothing."""
        if self._closed:
            return
        self._closed = True
        self._token = b""
        if self._ticking is not None:
            self._ticking.cancel()
        for pump in (self._pump, self._monitor_pump):
            if pump is not None:
                pump.close()
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close()
        if self._monitor is not None:
            self._monitor.close()
        self._changed.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            if self._knock_at is not None and now >= self._knock_at:
                self._knock()
            if self._attached and not self.up and now - self._hello_at >= _HELLO_AGAIN_S:
                self._hello()
            self._on_tick()

    def _knock(self) -> None:
        """Connect anew: libzmq gives up for good once a peer has refused the key."""
        self._knock_at = None
        if self._socket is not None:
            with suppress(zmq.ZMQError):
                self._socket.disconnect(self.endpoint)
            self._socket.connect(self.endpoint)

    def _hello(self) -> None:
        if self._pump is None:
            return
        boot_id, seq = self._position()
        hello = Hello(WIRE_VERSION, self._features, time.monotonic_ns(), boot_id, seq)
        if self._pump.send([b"", encode(hello)]):
            self._hello_at = time.monotonic()

    def _receive_event(self) -> None:
        if self._monitor is None:
            raise zmq.Again
        message = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
        event = message["event"]
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._attached = True
            self._trouble = "it takes connections but does not welcome us"
            self._hello_at = 0.0
            self._hello()
        elif event == zmq.EVENT_DISCONNECTED:
            # Also follows a failed handshake, which has said more.
            if self._attached:
                self._attached = False
                self._lost("the link is cut")
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._knock_at = time.monotonic() + _KNOCK_AGAIN_S
            self._refused(
                RefusedError(
                    f"{self.peer} at {self.endpoint} does not know the key of {self.own_identity}",
                    hint=f"copy {self.own_identity}.pub into the keys folder of {self.peer}'s host",
                    peer=self.peer,
                    endpoint=self.endpoint,
                )
            )
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self._note("what answers there does not speak as the bus does")
        elif message["value"] == errno.EAGAIN:
            # Time is up, and there was nothing to read: the kernel takes connections for a process that does not.
            self._note(_SILENT)
        else:
            self._note(f"it hangs up in the handshake: it may not hold the key of {self.peer} that we have")

    def _receive(self) -> None:
        if self._socket is None:
            raise zmq.Again
        frames = self._socket.recv_multipart(zmq.NOBLOCK)
        try:
            message = decode_downstream(frames[-1])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            _log.warning("dropped a message of %s that is not of this wire: %s", self.peer, error)
            return
        self.heard_at = time.monotonic()
        if isinstance(message, Welcome):
            self._welcome(message)
        elif isinstance(message, Refused):
            self._refused(unpack_error(message.error))
        elif isinstance(message, StrangeSession):
            if self.up:  # else: one of many answers of this kind
                self._lost("it has forgotten us")
                self._hello()
        else:
            self._on_message(message)

    def _welcome(self, welcome: Welcome) -> None:
        if welcome.version != WIRE_VERSION:
            self._refused(RefusedError(f"{self.peer} speaks wire version {welcome.version}, we speak {WIRE_VERSION}"))
            return
        now_ns = time.monotonic_ns()
        self.clock_offset_ns = welcome.clock_ns - (welcome.echo_ns + now_ns) // 2
        self._token = welcome.token
        self._trouble = ""
        self._down_at = None
        self.refusal = None
        self._on_welcome(welcome)
        self._changed.set()

    def _refused(self, refusal: QnodeError) -> None:
        if self.refusal is None:
            _log.warning("%s", refusal)
        self.refusal = refusal
        self._hello_at = time.monotonic()
        self._lost("it refuses us")
        self._changed.set()

    def _lost(self, why: str) -> None:
        self._note(why)
        self._token = b""
        self._on_down()

    def _note(self, why: str) -> None:
        if self._down_at is None or why != self._trouble:
            _log.info("%s at %s: %s", self.peer, self.endpoint, why)
            self._down_at = time.monotonic()
        self._trouble = why
