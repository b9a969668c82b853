"""What systemd is told of a service: sd_notify(3), a datagram to the socket that ``NOTIFY_SOCKET`` names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

__all__ = ["ServiceManager"]

SEND_S = 0.2
"""Wall time for the manager to take a word, when its queue is full."""


class ServiceManager:
    """The service manager that started this process, or nobody.

    The variables are taken out of the environment, so that no child of ours speaks for us.
    """

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        period_us = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "") or str(os.getpid())
        self.watchdog_s = int(period_us) / 1e6 if period_us.isdigit() and pid == str(os.getpid()) else 0.0
        """Wall time within which the manager wants to hear of us; 0: it does not care."""

    def tell(self, *words: str) -> None:
        """Send ``READY=1``, ``STOPPING=1``, ``STATUS=...``; a manager that is gone is not our trouble."""
        if not self._address:
            return
        # A leading @ stands for the NUL byte of an abstract socket.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(SEND_S)
            out.sendto("\n".join(words).encode(), address)

    async def keep_alive(self) -> None:
        """Tell the watchdog, twice a period, that the event loop still turns; returns at once without one."""
        while self.watchdog_s:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s / 2)
