"""The calling end of the command plane for scripts: no event loop to see."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from qnode.bus._keys import Keyring

__all__ = ["SyncClient"]


class SyncClient:
    """`Client` for synchronous code, usable inside a running loop (Jupyter) and from several threads at once.

    Example::

        with SyncClient("tcp://127.0.1.1:5700", "alice", "operator", keyring) as alice:
            alice.call("set_power", {"power_mw": 0.2})
    """

    def __init__(self, endpoint: str, peer_identity: str, own_identity: str, keyring: Keyring) -> None:
        raise NotImplementedError

    def call(
        self, name: str, params: Any = None, *, timeout_s: float = 5.0, idempotency_key: str | None = None
    ) -> Any:
        """See `Client.call`."""

    def wait_connected(self, timeout_s: float = 5.0) -> None:
        """See `Client.wait_connected`."""

    @property
    def connected(self) -> bool:
        """See `Client.connected`."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection and end the thread; a second close does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
