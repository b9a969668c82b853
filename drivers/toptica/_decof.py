"""The command line of a DLC pro, for callers outside an event loop.

The maker's synchronous client can wait for ever for a host that does not answer, and leaves a thread behind each
time; so its asynchronous one runs here, in one thread of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from toptica.lasersdk.asyncio.client import (
    Client,
    DecopError,
    DecopValueError,
    DeviceNotFoundError,
    NetworkConnection,
)
from toptica.lasersdk.asyncio.connection import BufferOverflowError, ConnectionClosedError, UnavailableError

__all__ = ["DecofLine", "DecopError", "DecopValue"]

DecopValue = bool | int | float | str
T = TypeVar("T", bool, int, float, str)
R = TypeVar("R")

_BROKEN = (BufferOverflowError, ConnectionClosedError, DeviceNotFoundError, UnavailableError)
"""Errors of the client after which the connection is of no use; all others are the laser's own words."""
_CLOSE_S = 2.0


class DecofLine:
    """One connection, made when it is needed and anew after a failure, so that a late reply is never the next one.

    The monitoring line is left alone: its pushes would have to be read by somebody for ever.

    Args:
        host: IP address, host name, serial number or label of the DLC pro.
        port: TCP port of its command line.
        timeout_s: time-out of connecting, and of one exchange.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"decof {host}", daemon=True)
        self._thread.start()

    def get(self, path: str, kind: type[T]) -> T:
        """Ask for a parameter.

        Args:
            path: as ``laser1:dl:cc:current-act``.
            kind: its type.

        Raises:
            DecopError: refused, of another type, or the connection is gone.
            OSError: the network failed.
            TimeoutError: no whole answer in time.
        """
        return cast(T, self._run(lambda client: client.get(path, kind)))

    def set(self, path: str, value: DecopValue) -> int:
        """Set a parameter; gives 0, or the number of a warning. Raises as `get` does."""
        return self._run(lambda client: client.set(path, value))

    def close(self) -> None:
        """Close the connection and end the thread; twice is harmless."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    def _run(self, call: Callable[[Client], Awaitable[R]]) -> R:
        if self._loop.is_closed():
            raise ConnectionClosedError("closed")
        return asyncio.run_coroutine_threadsafe(self._exchange(call), self._loop).result()

    async def _exchange(self, call: Callable[[Client], Awaitable[R]]) -> R:
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._connected()
            async with asyncio.timeout(self._timeout_s):
                return await call(client)
        except DecopError as error:
            # A value of another type than expected may be half of an answer.
            if isinstance(error, (*_BROKEN, DecopValueError)):
                await self._drop()
            raise
        except (IndexError, ValueError) as error:
            # So the client ends on an answer without any line.
            await self._drop()
            raise DecopError(f"the answer makes no sense: {error}") from error
        except BaseException:
            await self._drop()
            raise

    async def _connected(self) -> Client:
        if self._client is None or not self._client.is_open:
            self._client = Client(NetworkConnection(self._host, self._port, 0, self._timeout_s))
            await self._client.open()
        return self._client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await client.close()
