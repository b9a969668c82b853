"""One operator's connections to all daemons of a lab."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qnode.bus import Client, Keyring
from qnode.errors import NetworkError, QnodeError
from qnode.labfile import Lab, lab_hash, load_lab

__all__ = ["OPERATOR", "SNAPSHOT_S", "LabConnection"]

OPERATOR = "operator"
"""The identity under which people and experiments speak on the bus."""
STATUS_S = 2.0
READY_S = 20.0
"""Wall time within which a lab that answers must be healthy: a tagger needs a pulse per second first."""
CONNECTED_S = 60.0
"""Wall time within which a daemon that was started must have its instruments connected."""
SNAPSHOT_S = 90.0
"""Wall time for a snapshot: an instrument that was never read is read through once."""
POLL_S = 0.1


class LabConnection:
    """Calls to every site of a lab; a context manager.

    Args:
        lab_path: the lab file; its `world:` is never read.
        data_folder: where the keys are.
    """

    def __init__(self, lab_path: Path, data_folder: Path) -> None:
        self.lab_path = lab_path
        self.lab: Lab = load_lab(lab_path)
        self.data_folder = data_folder
        endpoints = {
            name: f"tcp://{site.bus.address}:{site.bus.command_port}" for name, site in self.lab.sites.items()
        }
        keyring = Keyring.for_lab(data_folder, endpoints.values())
        self._clients = {name: Client(endpoint, name, OPERATOR, keyring) for name, endpoint in endpoints.items()}

    async def __aenter__(self) -> Self:
        for client in self._clients.values():
            await client.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.close()

    async def call(self, site: str, name: str, params: Any = None, *, timeout_s: float = 10.0) -> Any:
        """Call a daemon.

        Raises:
            QnodeError: what the daemon raised, or that it does not answer.
        """
        return await self._clients[site].call(name, params, timeout_s=timeout_s)

    async def statuses(self, timeout_s: float = STATUS_S) -> dict[str, dict[str, Any] | None]:
        """Status of each site, None where it does not answer."""
        names = list(self._clients)
        answers = await asyncio.gather(
            *(self.call(name, "status", timeout_s=timeout_s) for name in names), return_exceptions=True
        )
        return {
            name: None if isinstance(answer, BaseException) else answer
            for name, answer in zip(names, answers, strict=True)
        }

    async def snapshot(self, *, update: bool = False, timeout_s: float = SNAPSHOT_S) -> dict[str, Any]:
        """QCoDeS snapshots of all instruments: ``{"sites": {name: {"instruments": {name: ...}}}}``.

        Args:
            update: ask for every value; else only for those that were never read. While a plan is under way nothing
                is asked.
            timeout_s: wall time for each site.

        What does not answer is an entry ``{"error": text}``.
        """
        names = list(self._clients)
        answers = await asyncio.gather(
            *(self.call(name, "snapshot", {"update": update}, timeout_s=timeout_s) for name in names),
            return_exceptions=True,
        )
        return {
            "sites": {
                name: {"error": str(answer)} if isinstance(answer, BaseException) else answer
                for name, answer in zip(names, answers, strict=True)
            }
        }

    async def require_same_lab(self) -> None:
        """Check that every daemon answers and was started with this lab file.

        Raises:
            NetworkError: one does not.
        """
        mine = lab_hash(self.lab)
        for name, status in (await self.statuses(timeout_s=10.0)).items():
            if status is None:
                raise NetworkError(f"{name} does not answer at {self.lab.sites[name].bus.address}")
            if status["lab_sha256"] != mine:
                raise QnodeError(
                    f"{name} runs another lab file than {self.lab_path}",
                    hint="stop it and start it again with this one",
                )

    async def await_connected(self, timeout_s: float = CONNECTED_S) -> None:
        """Return when every daemon has connected its instruments, or found that it can't.

        Raises:
            NetworkError: one is not done in ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        await asyncio.gather(*(self._await_connected(name, deadline) for name in self._clients))

    async def _await_connected(self, site: str, deadline: float) -> None:
        while True:
            status = await self.call(site, "status", timeout_s=max(deadline - time.monotonic(), 0.0))
            if all(one["state"] != "connecting" for one in status["instruments"].values()):
                return
            await asyncio.sleep(POLL_S)

    async def await_ready(self, timeout_s: float = READY_S) -> None:
        """Return when every daemon says that it is ready.

        Raises:
            NetworkError: one is not, in ``timeout_s``; the text says what it is.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            statuses = await self.statuses()
            waiting = {
                name: "does not answer" if status is None else status["state"]
                for name, status in statuses.items()
                if status is None or status["state"] != "ready"
            }
            if not waiting:
                return
            if time.monotonic() > deadline:
                said = "; ".join(f"{name}: {state}" for name, state in waiting.items())
                raise NetworkError(
                    f"not ready after {timeout_s:g} s: {said}", hint="`qnode status` shows all of them"
                )
            await asyncio.sleep(POLL_S)
