"""The answering end of the command plane."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec

from qnode.bus._errors import CallTimeoutError, RefusedError
from qnode.bus._hub import Hub, Session
from qnode.bus._keys import Keyring
from qnode.bus._running import Running
from qnode.bus._sockets import ANSWERS
from qnode.bus._wire import COMMAND_FEATURES, Call, Fault, Result, Upstream, WireError, encode, pack_error
from qnode.errors import MisuseError, NetworkError

__all__ = ["Handler", "Server", "caller_identity"]

Handler = Callable[[Any], Awaitable[Any]]
"""``async def handler(params)``: params and result are what msgpack carries (dict, list, str, int, float, bytes,
bool, None), or a msgspec struct as result."""

_SILENT_AFTER_S = 600.0
_SWEEP_S = 1.0
_RETRY_S = 0.02
_MOST_AT_ONCE = 256
_KEEP_REPLIES = 16384
_KEEP_REPLIES_S = 60.0
_KEEP_BYTES = 64 * 1024 * 1024

_log = logging.getLogger(__name__)
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("qnode_bus_caller")


def caller_identity() -> str:
    """Inside a handler: the identity whose key the caller holds.

    Raises:
        MisuseError: not inside a handler.
    """
    try:
        return _caller.get()
    except LookupError:
        raise MisuseError("no call is under way here", hint="ask inside a handler of a Server") from None


class _Reply:
    """What came of one idempotency key: who waits for it, then what they get."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: list[tuple[Session, int]] = []
        self.outcome: msgspec.Raw | WireError | None = None
        self.size = 0
        self.at = time.monotonic()


class Server(Running):
    """Answers calls from `Client`.

    Each call is a task of its own, so a handler that hangs stops nobody else. A call whose deadline has passed is
    not begun; a call that comes again under the same idempotency key is answered from what the first one gave. A
    `QnodeError` of a handler travels to the caller with its code, hint and context.

    Args:
        endpoint: ``tcp://address:port``; port 0 takes a free one, see `endpoint` after the start.
        identity: whose key this server holds.
        keyring: the lab's keys.
        handlers: by the name that is called.
        allowed: for names that not every key of the lab may call, who may.

    Example::

        async def set_power(params):
            return {"power_mw": params["power_mw"]}

        async with Server("tcp://127.0.1.1:5700", "alice", keyring, {"set_power": set_power}) as server:
            await server.wait_closed()
    """

    def __init__(
        self,
        endpoint: str,
        identity: str,
        keyring: Keyring,
        handlers: Mapping[str, Handler],
        *,
        allowed: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._identity = identity
        self._handlers = dict(handlers)
        self._allowed = {name: frozenset(who) for name, who in (allowed or {}).items()}
        self._hub = Hub(
            endpoint,
            identity,
            keyring,
            ANSWERS,
            features=COMMAND_FEATURES,
            silent_after_s=_SILENT_AFTER_S,
            on_message=self._receive,
        )
        self._replies: OrderedDict[tuple[str, str], _Reply] = OrderedDict()
        self._reply_bytes = 0
        self._unsent: deque[tuple[Session, Result | Fault]] = deque(maxlen=_MOST_AT_ONCE)
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str:
        """Where it is bound."""
        return self._hub.endpoint

    async def start(self) -> None:
        """Bind and answer from now on, in the running loop.

        Raises:
            NetworkError: the address is taken or not of this host.
            KeyMissingError: the server's key is not in the keyring.
        """
        await self._hub.start()
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def close(self) -> None:
        """Stop: handlers under way are cancelled, the socket is closed."""
        self._hub.close()
        if self._retry is not None:
            self._retry.cancel()
        tasks = [*self._tasks, *([self._sweeping] if self._sweeping is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._hub.sweep()
            self._forget()

    def _receive(self, session: Session, message: Upstream) -> None:
        if not isinstance(message, Call):
            _log.warning("%s: %s sent a message of another plane", self._identity, session.identity)
            return
        known = self._replies.get((session.identity, message.key))
        if known is not None:
            self._again(known, session, message)
            return
        refusal = self._refusal(session, message)
        if refusal is not None:
            self._send(session, Fault(message.number, pack_error(refusal, self._identity)))
            return
        reply = _Reply(message.name)
        reply.waiting.append((session, message.number))
        self._replies[session.identity, message.key] = reply
        task = asyncio.get_running_loop().create_task(self._carry_out(session.identity, message, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _again(self, known: _Reply, session: Session, call: Call) -> None:
        if known.name != call.name:
            error = MisuseError(
                f"idempotency key {call.key!r} was used for {known.name}, now for {call.name}",
                hint="a key belongs to one call",
            )
            self._send(session, Fault(call.number, pack_error(error, self._identity)))
        elif known.outcome is None:
            known.waiting.append((session, call.number))
        else:
            self._send(session, _answer(call.number, known.outcome))

    def _refusal(self, session: Session, call: Call) -> Exception | None:
        if call.name not in self._handlers:
            return MisuseError(
                f"{self._identity} has no call {call.name!r}", hint=f"it has {', '.join(sorted(self._handlers))}"
            )
        who = self._allowed.get(call.name)
        if who is not None and session.identity not in who:
            return RefusedError(
                f"{session.identity} may not call {call.name} of {self._identity}",
                hint=f"{', '.join(sorted(who))} may",
            )
        late_ns = time.monotonic_ns() - call.deadline_ns
        if late_ns >= 0:
            return CallTimeoutError(
                f"{call.name} reached {self._identity} {late_ns / 1e9:.3f} s after its deadline and was not begun",
                hint="call again",
            )
        if len(self._tasks) >= _MOST_AT_ONCE:
            return NetworkError(
                f"{self._identity} has {_MOST_AT_ONCE} calls under way and did not begin {call.name}",
                hint=f"one of them hangs? see `qnode logs` of {self._identity}",
            )
        return None

    async def _carry_out(self, identity: str, call: Call, reply: _Reply) -> None:
        _caller.set(identity)
        outcome: msgspec.Raw | WireError
        try:
            params = msgspec.msgpack.decode(call.params)
            outcome = msgspec.Raw(encode(await self._handlers[call.name](params)))
            reply.size = len(bytes(outcome))
        except Exception as error:
            outcome = pack_error(error, f"{call.name} of {self._identity}")
            if outcome.code == "internal":
                _log.exception("%s of %s failed", call.name, self._identity)
        reply.outcome = outcome
        reply.at = time.monotonic()
        self._reply_bytes += reply.size
        waiting, reply.waiting = reply.waiting, []
        for session, number in waiting:
            self._send(session, _answer(number, outcome))
        self._forget()

    def _send(self, session: Session, message: Result | Fault) -> None:
        # A pipe that is full for a moment must not cost the answer; one that is gone may: the call comes again.
        if not self._hub.send(session, message) and session.token in self._hub.sessions:
            self._unsent.append((session, message))
            if self._retry is None:
                self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._send_unsent)

    def _send_unsent(self) -> None:
        self._retry = None
        unsent, self._unsent = self._unsent, deque(maxlen=_MOST_AT_ONCE)
        for session, message in unsent:
            self._send(session, message)

    def _forget(self) -> None:
        """Drop the oldest replies: those older than a minute, or too many or too big together."""
        old = time.monotonic() - _KEEP_REPLIES_S
        while self._replies:
            key, oldest = next(iter(self._replies.items()))
            if oldest.outcome is None:
                # Under way: it goes behind those that are done, so that a hung one holds no others.
                self._replies.move_to_end(key)
                if self._replies[next(iter(self._replies))].outcome is None:
                    return
                continue
            spare = oldest.at < old or len(self._replies) > _KEEP_REPLIES or self._reply_bytes > _KEEP_BYTES
            if not spare:
                return
            self._reply_bytes -= oldest.size
            del self._replies[key]


def _answer(number: int, outcome: msgspec.Raw | WireError) -> Result | Fault:
    return Fault(number, outcome) if isinstance(outcome, WireError) else Result(number, outcome)
