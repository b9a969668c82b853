"""The answering end of the command plane."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Self

from qnode.bus._keys import Keyring

__all__ = ["Handler", "Server", "caller_identity"]

Handler = Callable[[Any], Awaitable[Any]]
"""``async def handler(params)``: params and result are what msgpack carries (dict, list, str, int, float, bytes,
bool, None), or a msgspec struct as result."""


def caller_identity() -> str:
    """Inside a handler: the identity whose key the caller holds."""
    raise NotImplementedError


class Server:
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
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        """Where it is bound."""
        raise NotImplementedError

    async def start(self) -> None:
        """Bind and answer from now on, in the running loop.

        Raises:
            NetworkError: the address is taken or not of this host.
            KeyMissingError: the server's key is not in the keyring.
        """

    async def close(self) -> None:
        """Stop: handlers under way are cancelled, the socket is closed."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
