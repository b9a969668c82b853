"""A TCP proxy that misbehaves on command: delay, stall one way, cut, heal, cut at byte n. No root needed.

Runs in a thread of its own, so that neither a blocked test nor a busy event loop softens the fault.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Literal, Self, TypeVar

Way = Literal["up", "down"]
"""``up``: from who connects to the target; ``down``: back."""

_T = TypeVar("_T")


class FaultProxy:
    """Stands between a client and ``target`` (``tcp://address:port``); clients connect to `endpoint`."""

    def __init__(self, target: str, *, listen_host: str = "127.0.43.99") -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._listen_host = listen_host
        self._port = 0
        self._delay_s = {"up": 0.0, "down": 0.0}
        self._flows: dict[str, asyncio.Event] = {}
        self._bytes_left: dict[str, int | None] = {"up": None, "down": None}
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faultnet", daemon=True)
        self.connections = 0

    @property
    def endpoint(self) -> str:
        return f"tcp://{self._listen_host}:{self._port}"

    def cut(self) -> None:
        """Break every connection and refuse new ones until `heal`."""
        self._do(self._cut)

    def heal(self) -> None:
        """Take connections again and let all bytes flow."""

        def heal() -> None:
            self._refusing = False
            self._bytes_left = {"up": None, "down": None}
            for flow in self._flows.values():
                flow.set()

        self._do(heal)

    def stall(self, way: Way) -> None:
        """Keep the connections but let nothing pass one way until `heal`: it is kept, not lost."""
        self._do(lambda: self._flows[way].clear())

    def delay(self, way: Way, delay_s: float) -> None:
        self._do(lambda: self._delay_s.__setitem__(way, delay_s))

    def cut_after(self, way: Way, n_bytes: int) -> None:
        """Break everything when ``n_bytes`` more have passed one way, in the middle of a message or not."""
        self._do(lambda: self._bytes_left.__setitem__(way, n_bytes))

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5.0)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def _do(self, act: Callable[[], _T]) -> _T:
        async def run() -> _T:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(5.0)

    async def _start(self) -> None:
        self._flows = {"up": asyncio.Event(), "down": asyncio.Event()}
        for flow in self._flows.values():
            flow.set()
        self._server = await asyncio.start_server(self._serve, self._listen_host, 0)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self) -> None:
        self._refusing = True
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        pair = {writer, far_writer}
        self._writers |= pair
        pipes = [
            self._loop.create_task(self._pipe("up", reader, far_writer)),
            self._loop.create_task(self._pipe("down", far_reader, writer)),
        ]
        self._tasks |= set(pipes)
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
            self._tasks -= set(pipes)
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _pipe(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(self._delay_s[way])
                await self._flows[way].wait()
                left = self._bytes_left[way]
                if left is not None and len(data) >= left:
                    writer.write(data[:left])
                    await writer.drain()
                    self._bytes_left[way] = None
                    self._cut()
                    return
                if left is not None:
                    self._bytes_left[way] = left - len(data)
                writer.write(data)
                await writer.drain()
        except (ConnectionError, OSError):
            return
