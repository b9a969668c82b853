"""The calling end of the command plane for scripts: no event loop to see."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from qnode.bus._client import Client
from qnode.bus._keys import Keyring
from qnode.errors import NetworkError

__all__ = ["SyncClient"]

_Result = TypeVar("_Result")
_GRACE_S = 5.0


class SyncClient:
    """`Client` for synchronous code, usable inside a running loop (Jupyter) and from several threads at once.

    Example::

        with SyncClient("tcp://127.0.1.1:5700", "alice", "operator", keyring) as alice:
            alice.call("set_power", {"power_mw": 0.2})
    """

    def __init__(self, endpoint: str, peer_identity: str, own_identity: str, keyring: Keyring) -> None:
        self._client = Client(endpoint, peer_identity, own_identity, keyring)
        self._peer = peer_identity
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"qnode-bus-{peer_identity}", daemon=True)
        self._thread.start()
        self._closed = False
        try:
            self._do(self._client.start(), 0.0)
        except BaseException:
            self.close()
            raise

    def call(
        self, name: str, params: Any = None, *, timeout_s: float = 5.0, idempotency_key: str | None = None
    ) -> Any:
        """See `Client.call`."""
        return self._do(
            self._client.call(name, params, timeout_s=timeout_s, idempotency_key=idempotency_key), timeout_s
        )

    def wait_connected(self, timeout_s: float = 5.0) -> None:
        """See `Client.wait_connected`."""
        self._do(self._client.wait_connected(timeout_s), timeout_s)

    @property
    def connected(self) -> bool:
        """See `Client.connected`."""
        return self._client.connected

    def close(self) -> None:
        """Close the connection and end the thread; a second close does nothing."""
        if self._closed:
            return
        self._do(self._finish(), 0.0)
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_GRACE_S)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _finish(self) -> None:
        await self._client.close()
        # Calls of other threads end with the error that close has given them before the loop goes.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=1.0)

    def _do(self, work: Coroutine[Any, Any, _Result], timeout_s: float) -> _Result:
        if self._closed:
            work.close()
            raise NetworkError(f"the connection to {self._peer} is closed", hint="make a new SyncClient")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s + _GRACE_S)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise NetworkError(f"the thread of the connection to {self._peer} hangs", hint="make a new one") from None
        except KeyboardInterrupt:
            future.cancel()
            raise
