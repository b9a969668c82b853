"""The calling end of the command plane."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from qnode.bus._keys import Keyring

__all__ = ["Client"]


class Client:
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
        raise NotImplementedError

    @property
    def connected(self) -> bool:
        """Whether the peer has welcomed us and the link has not been seen to break since."""
        raise NotImplementedError

    async def start(self) -> None:
        """Begin to connect, in the running loop; returns at once. ``call`` does it by itself."""

    async def wait_connected(self, timeout_s: float = 5.0) -> None:
        """Return when the peer has welcomed us.

        Raises:
            CallTimeoutError: it did not in ``timeout_s``.
            RefusedError: it does not know our key, our wire version or a feature.
        """

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
            idempotency_key: calls with one key are carried out once as long as the server remembers (it keeps the
                last 1024 replies of at least the last minute); default a key of this call alone.

        Raises:
            CallTimeoutError: no answer in time.
            PeerRestartedError: the peer went down and came back with the call under way.
            RefusedError: the peer refused us.
            QnodeError: what the handler raised, in its family (`MisuseError`, `InstrumentError`, `NetworkError`)
                and with its code, hint and context.
        """

    async def close(self) -> None:
        """Close the socket; open calls end with `NetworkError`."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
