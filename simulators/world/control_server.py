"""The control endpoint of the simulators: JSON lines over TCP, one answer a line.

==========================================================================  ==========================================
``{"op": "fault", "instrument": "alice.awg", "fault": "unplug"}``            ``plug``, and what `faults()` names
``{"op": "status"}``                                                        lab time, epoch, rounds, plugs, streams
``{"op": "photons"}``                                                       per node: light and microwaves right now
``{"op": "stop"}``                                                          all simulators end
..                                                                          ``{"ok": false, "error": "..."}``
==========================================================================  ==========================================

Nothing here is on a real rack; daemons and experiments never connect.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from qnode.errors import MisuseError, NetworkError, QnodeError

__all__ = ["ControlServer"]

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """Listens on one address; answers by the handlers given.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes a free one (see `port`).
        handlers: by operation; each takes the request and returns what its answer holds.
    """

    def __init__(self, host: str, port: int, handlers: Mapping[str, Handler]) -> None:
        self.host = host
        self.port = port
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen.

        Raises:
            NetworkError: the address is taken or not on this machine.
        """
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
        except OSError as error:
            raise NetworkError(
                f"control endpoint: can't listen on {self.host}:{self.port} ({error.strerror})",
                hint="is another simulator of this lab running? stop it, or change `world.control` in the lab file",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and all connections."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line), separators=(",", ":")).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            # The peer is gone, or sent a line without end: nothing to answer to.
            pass
        except asyncio.CancelledError:
            # The loop is being closed under us; ending quietly is all there is to do.
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            operation = request.get("op") if isinstance(request, dict) else None
            handler = self._handlers.get(str(operation))
            if handler is None:
                known = ", ".join(sorted(self._handlers))
                raise MisuseError(f"no operation {operation!r}", hint=f"there are {known}")
            return {"ok": True, **await handler(request)}
        except QnodeError as error:
            return {"ok": False, "error": str(error)}
        except ValueError:
            return {"ok": False, "error": f"not JSON: {line[:80].decode(errors='replace').strip()!r}"}
