"""The calling end of the command plane."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from typing import Any

import msgspec

from qnode.bus._errors import PeerRestartedError
from qnode.bus._keys import Keyring
from qnode.bus._link import Link
from qnode.bus._running import Running
from qnode.bus._sockets import COMMANDS
from qnode.bus._wire import COMMAND_FEATURES, Call, Downstream, Fault, Result, Welcome, encode, unpack_error
from qnode.errors import MisuseError, NetworkError

__all__ = ["Client"]

_MOST_OPEN = 1024


class _OpenCall:
    """One call that has no answer yet."""

    def __init__(self, name: str, key: str, params: msgspec.Raw, timeout_s: float) -> None:
        self.name = name
        self.key = key
        self.params = params
        self.deadline_ns = time.monotonic_ns() + int(timeout_s * 1e9)
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent_to = b""
        """Boot id of the peer that may have it."""


class Client(Running):
    """Calls a `Server`; connects by itself, again after each cut.

    Args:
        endpoint: ``tcp://address:port`` of the server.
        peer_identity: whose key must answer there.
        own_identity: whose key we hold (a site, or ``operator``).
        keyring: the lab's keys.

    Example::

        async with Client("tcp://127.0.1.1:5700", "alice", "operator", keyring) as alice:
            await alice.call("set_power", {"power_mw": 0.2}, timeout_s=2.0)
    """

    def __init__(self, endpoint: str, peer_identity: str, own_identity: str, keyring: Keyring) -> None:
        self._link = Link(
            endpoint,
            peer_identity,
            own_identity,
            keyring,
            COMMANDS,
            features=COMMAND_FEATURES,
            on_welcome=self._welcome,
            on_message=self._receive,
            on_down=self._down,
            on_writable=self._flush,
        )
        self._numbers = itertools.count(1)
        self._keys = secrets.token_hex(8)
        self._open: dict[int, _OpenCall] = {}
        self._peer_boot_id = b""

    @property
    def connected(self) -> bool:
        """Whether the peer has welcomed us and the link has not been seen to break since."""
        return self._link.up

    async def start(self) -> None:
        """Begin to connect, in the running loop; returns at once. ``call`` does it by itself."""
        self._link.start()

    async def wait_connected(self, timeout_s: float = 5.0) -> None:
        """Return when the peer has welcomed us.

        Raises:
            CallTimeoutError: it did not in ``timeout_s``.
            RefusedError: it does not know our key, our wire version or a feature.
        """
        await self._link.wait_up(timeout_s)

    async def call(
        self, name: str, params: Any = None, *, timeout_s: float = 5.0, idempotency_key: str | None = None
    ) -> Any:
        """Call ``name`` at the peer and give its result.

        A call that the cut of a link leaves open is sent again by itself when the link is back; the server answers
        it once only.

        Args:
            name: which handler.
            params: what msgpack carries, or a msgspec struct.
            timeout_s: wall time for all of it; the server does not begin a call after that.
            idempotency_key: calls with one key are carried out once as long as the server remembers (a
                minute, for the last 16384 replies and 64 MiB at most); default a key of this call alone.

        Raises:
            CallTimeoutError: no answer in time.
            PeerRestartedError: the peer went down and came back with the call under way.
            RefusedError: the peer refused us.
            QnodeError: what the handler raised, in its family (`MisuseError`, `InstrumentError`, `NetworkError`)
                and with its code, hint and context.
        """
        self._link.start()
        if self._link.refusal is not None:
            raise self._link.refusal
        if len(self._open) >= _MOST_OPEN:
            raise NetworkError(
                f"{_MOST_OPEN} calls to {self._link.peer} are open", hint="wait for answers before calling again"
            )
        number = next(self._numbers)
        call = _OpenCall(name, idempotency_key or f"{self._keys}-{number}", _packed(name, params), timeout_s)
        self._open[number] = call
        self._send(number, call)
        try:
            async with asyncio.timeout(timeout_s):
                return await call.answer
        except TimeoutError:
            error = self._link.timeout_error(f"the answer to {name}", timeout_s)
            if not call.sent_to:
                error.message += "; it was not sent"
            raise error from None
        finally:
            del self._open[number]

    async def close(self) -> None:
        """Close the socket; open calls end with `NetworkError`."""
        self._link.close()
        for call in self._open.values():
            if not call.answer.done():
                call.answer.set_exception(
                    NetworkError(
                        f"the connection to {self._link.peer} was closed with {call.name} under way",
                        hint="close it after the last answer",
                    )
                )

    def _send(self, number: int, call: _OpenCall) -> None:
        deadline_ns = call.deadline_ns + self._link.clock_offset_ns
        if self._link.send(Call(number, call.name, call.key, deadline_ns, call.params)):
            call.sent_to = self._peer_boot_id

    def _flush(self) -> None:
        for number, call in self._open.items():
            if not call.sent_to and not call.answer.done():
                self._send(number, call)

    def _welcome(self, welcome: Welcome) -> None:
        self._peer_boot_id = welcome.boot_id
        for number, call in self._open.items():
            if call.answer.done():
                continue
            if call.sent_to in {b"", welcome.boot_id}:
                self._send(number, call)
            else:
                call.answer.set_exception(
                    PeerRestartedError(
                        f"{self._link.peer} at {self._link.endpoint} went down with {call.name} under way: "
                        "it may or may not have been carried out",
                        hint="look at the state there before calling again",
                        peer=self._link.peer,
                        call=call.name,
                    )
                )

    def _down(self) -> None:
        if self._link.refusal is None:
            return
        for call in self._open.values():
            if not call.answer.done():
                call.answer.set_exception(self._link.refusal)

    def _receive(self, message: Downstream) -> None:
        if not isinstance(message, Result | Fault):
            return
        call = self._open.get(message.number)
        if call is None or call.answer.done():
            return
        if isinstance(message, Fault):
            call.answer.set_exception(unpack_error(message.error))
        else:
            call.answer.set_result(msgspec.msgpack.decode(message.value))


def _packed(name: str, params: Any) -> msgspec.Raw:
    try:
        return msgspec.Raw(encode(params))
    except (TypeError, ValueError, OverflowError) as error:
        raise MisuseError(
            f"the parameters of {name} can't travel: {error}",
            hint="give numbers, text, bytes, lists, dicts or structs",
        ) from error
