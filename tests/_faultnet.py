"""A TCP proxy that misbehaves on command: delay, stall one way, cut, heal, cut at byte n. No root needed.

Runs in a thread of its own, so that neither a blocked test nor a busy event loop softens the fault.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Self

Way = Literal["up", "down"]
"""``up``: from who connects to the target; ``down``: back."""


class FaultProxy:
    """Stands between a client and ``target`` (``tcp://address:port``); clients connect to `endpoint`.

    Args:
        target: where it passes bytes on to.
        listen_host: where clients connect.
        listen_port: 0 takes a free one, and keeps it.
    """

    def __init__(self, target: str, *, listen_host: str = "127.0.43.99", listen_port: int = 0) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._listen_host = listen_host
        self._port = listen_port
        self._delay_s = {"up": 0.0, "down": 0.0}
        self._flows = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._server: asyncio.Server | None = None
        self._bytes_left: dict[str, int | None] = {"up": None, "down": None}
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
        self._run(self._cut())

    def heal(self) -> None:
        """Take connections again and let all bytes flow."""
        self._run(self._heal())

    def stall(self, way: Way) -> None:
        """Keep the connections but let nothing pass one way until `heal`: it is kept, not lost."""
        self._run(self._set(self._flows[way].clear))

    def delay(self, way: Way, delay_s: float) -> None:
        self._run(self._set(lambda: self._delay_s.__setitem__(way, delay_s)))

    def cut_after(self, way: Way, n_bytes: int) -> None:
        """Break everything when ``n_bytes`` more have passed one way, in the middle of a message or not."""
        self._run(self._set(lambda: self._bytes_left.__setitem__(way, n_bytes)))

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._heal())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5.0)

    async def _set(self, change: Callable[[], object]) -> None:
        change()

    async def _heal(self) -> None:
        self._bytes_left = {"up": None, "down": None}
        for flow in self._flows.values():
            flow.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self._listen_host, self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _stop(self) -> None:
        await self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
                    await self._cut()
                    return
                if left is not None:
                    self._bytes_left[way] = left - len(data)
                writer.write(data)
                await writer.drain()
        except (ConnectionError, OSError):
            return
