"""How a DLC pro is found by its serial number or label: it answers a datagram at UDP port 60010."""

from __future__ import annotations

import asyncio
from typing import cast

from simulators.instruments.toptica._controller import Controller

__all__ = ["DISCOVERY_PORT", "Discovery"]

DISCOVERY_PORT = 60010


class Discovery(asyncio.DatagramProtocol):
    """Answers ``whoareyou?`` with ten fields; the meaning of the second to fifth is not known [K]."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        # asyncio's own datagram transport is no subclass of DatagramTransport before Python 3.12.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer whoever asks."""
        if data.strip() != b"whoareyou?" or self._transport is None:
            return
        get = self._controller.text
        words = (
            get("serial-number"),
            get("system-type"),
            get("fw-ver"),
            get("system-model"),
            "",
            get("system-label"),
        )
        quoted = " ".join(f'"{word}"' for word in words)
        reply = f'({quoted} 0 "{get("net-conf:ip-addr")}" {get("net-conf:cmd-port")} {get("net-conf:mon-port")})'
        self._transport.sendto(reply.encode(), addr)
