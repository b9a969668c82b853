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

from qnode.errors import MisuseError, QnodeError
from simulators.world.line_server import LineServer

__all__ = ["ControlServer"]

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer(LineServer[asyncio.StreamWriter]):
    """Listens on one address; answers by the handlers given.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes a free one (see `port`).
        handlers: by operation; each takes the request and returns what its answer holds.
    """

    endpoint = "control"
    setting = "world.control"

    def __init__(self, host: str, port: int, handlers: Mapping[str, Handler]) -> None:
        super().__init__(host, port)
        self._handlers = handlers

    def _connected(self, writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
        return writer

    async def _handle(self, connection: asyncio.StreamWriter, line: bytes) -> None:
        connection.write(json.dumps(await self._answer(line), separators=(",", ":")).encode() + b"\n")

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
