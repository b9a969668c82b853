"""Nodes and midpoints of a lab from afar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from qnode.client._connection import SNAPSHOT_S
from qnode.client._front import CALL_S, Front
from qnode.client._instruments import RemoteInstrument

__all__ = ["Midpoint", "Node", "Site"]


class Site:
    """A node or a midpoint; its instruments are attributes: ``lab.node("alice").awg``."""

    _kind = "site"

    def __init__(self, front: Front, name: str) -> None:
        self._front = front
        self.name = name
        self.instruments: Mapping[str, RemoteInstrument] = MappingProxyType(
            {
                instrument: RemoteInstrument(front, name, instrument, entry.role, entry.simulated)
                for instrument, entry in front.connection.lab.sites[name].rack.items()
            }
        )
        """By their names in the lab file."""

    def status(self, *, timeout_s: float = CALL_S) -> dict[str, Any]:
        """What its daemon says of itself; see docs/reference/commands.md, ``qnode status``.

        Raises:
            NetworkError: it does not answer.
        """
        status: dict[str, Any] = self._front.call(self.name, "status", timeout_s=timeout_s)
        return status

    def snapshot(self, *, update: bool = False, timeout_s: float = SNAPSHOT_S) -> dict[str, Any]:
        """QCoDeS snapshots of its instruments, in the form of a station's: ``{"instruments": {name: ...}}``.

        Args:
            update: ask for every value; else only for those that were never read. While a plan is under way nothing
                is asked.
            timeout_s: wall time for the answer.

        An instrument that fails is an entry ``{"error": text}``.

        Raises:
            NetworkError: the daemon does not answer.
        """
        snapshot: dict[str, Any] = self._front.call(self.name, "snapshot", {"update": update}, timeout_s=timeout_s)
        return snapshot

    def __getattr__(self, name: str) -> RemoteInstrument:
        # Python and notebooks look for special names all the time: they are never instruments.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.instruments[name]
        except KeyError:
            known = ", ".join(self.instruments)
            raise AttributeError(f"{self.name} has no instrument {name!r}; it has {known}") from None

    def __dir__(self) -> Iterator[str]:
        return iter(sorted({*object.__dir__(self), *self.instruments}))

    def __repr__(self) -> str:
        return f"<{self._kind} {self.name}: {', '.join(self.instruments)}>"


class Node(Site):
    """A node of a lab; see `Site`."""

    _kind = "node"


class Midpoint(Site):
    """A midpoint of a lab; see `Site`."""

    _kind = "midpoint"
