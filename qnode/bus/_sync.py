"""The calling end of the command plane for scripts: no event loop to see."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from qnode.bus._client import Client
from qnode.bus._keys import Keyring
from qnode.bus._thread import LoopThread

__all__ = ["SyncClient"]

_GRACE_S = 5.0


class SyncClient:
    """`Client` for synchronous code, usable inside a running loop (Jupyter) and from several threads at once.

    Example::

        with SyncClient("tcp://127.0.1.1:5700", "alice", "operator", keyring) as alice:
            alice.call("set_power", {"power_mw": 0.2})
    """

    def __init__(self, endpoint: str, peer_identity: str, own_identity: str, keyring: Keyring) -> None:
        self._client = Client(endpoint, peer_identity, own_identity, keyring)
        self._loop = LoopThread(f"the connection to {peer_identity}")
        try:
            self._loop.run(self._client.start(), _GRACE_S)
        except BaseException:
            self.close()
            raise

    def call(
        self, name: str, params: Any = None, *, timeout_s: float = 5.0, idempotency_key: str | None = None
    ) -> Any:
        """See `Client.call`."""
        call = self._client.call(name, params, timeout_s=timeout_s, idempotency_key=idempotency_key)
        return self._loop.run(call, timeout_s + _GRACE_S)

    def wait_connected(self, timeout_s: float = 5.0) -> None:
        """See `Client.wait_connected`."""
        self._loop.run(self._client.wait_connected(timeout_s), timeout_s + _GRACE_S)

    @property
    def connected(self) -> bool:
        """See `Client.connected`."""
        return self._client.connected

    def close(self) -> None:
        """Close the connection and end the thread; a second close does nothing."""
        if self._loop.closed:
            return
        # Calls of other threads end with the error that this gives them before the loop goes.
        self._loop.run(self._client.close(), _GRACE_S)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
