"""A lab that is up, for people: a synchronous front, also inside a running loop (Jupyter) and from several threads."""

from __future__ import annotations

import atexit
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from qnode.client._connection import SNAPSHOT_S, LabConnection
from qnode.client._front import CALL_S, Front
from qnode.client._link import Link
from qnode.client._sites import Midpoint, Node
from qnode.client._starting import start_lab, stop_lab
from qnode.errors import MisuseError, NetworkError
from qnode.labfile import data_folder, load_lab

__all__ = ["Lab"]

Part = TypeVar("Part")

UP_S = 3.0
"""Wall time within which a daemon that is up answers."""


class Lab:
    """A lab whose daemons run; made by `connect` or `start`.

    Example::

        with Lab.connect("config/two_nodes.yaml") as lab:
            lab.node("alice").awg.ch1_amp()
            pairs = lab.link("alice", "bob").entangle(pairs=200, bases="XYZ")
            pairs.fidelity, pairs.rate_hz, pairs.plot()
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._ours = False
        """Whether we brought it up."""
        lab = front.connection.lab
        self.path = front.connection.lab_path
        """The lab file."""
        self.data = front.connection.data_folder
        """Where runs, keys and logs are."""
        self.name: str = lab.lab
        self.nodes = {name: Node(front, name) for name in lab.nodes}
        self.midpoints = {name: Midpoint(front, name) for name in lab.midpoints}
        self.links = {entry.name: Link(front, entry) for entry in lab.links}
        atexit.register(self.close)

    @classmethod
    def connect(cls, path: str | Path, data: str | Path | None = None) -> Self:
        """Connect to a lab that is up, and leave its instruments as they are.

        Args:
            path: the lab file that its daemons were started with.
            data: data folder; default the lab file's.

        Raises:
            LabFileError: the lab file has faults.
            NetworkError: the lab is not up, or only in part.
            QnodeError: it runs another lab file.
        """
        lab_path = Path(path)
        folder = data_folder(load_lab(lab_path), None if data is None else Path(data))
        down = NetworkError(f"{lab_path} is not up", hint=f"start it with `{_up(lab_path, data)}`")
        if not (folder / "keys").is_dir():
            # Whoever starts a lab makes or needs its keys.
            raise down
        front = Front(LabConnection(lab_path, folder))
        try:
            front.run(_require_up(front.connection, down), 2 * CALL_S + UP_S)
            return cls(front)
        except BaseException:
            front.close()
            raise

    @classmethod
    def start(
        cls, path: str | Path, data: str | Path | None = None, *, seed: int | None = None, speed: str | None = None
    ) -> Self:
        """Bring a simulated lab up, connect to it, and take it down on `close`; one that is up already stays up.

        Args:
            path: the lab file.
            data: data folder; default the lab file's.
            seed: of the simulated world, in place of the lab file's.
            speed: ``max`` or a factor, in place of the lab file's.

        If this process is killed, the lab stays up: ``qnode stop`` takes it down.

        Raises:
            MisuseError: it is a rack, half of it runs, or a seed or a speed was given for a lab that is up.
            NetworkError: it did not come up.
        """
        lab_path = Path(path)
        folder = data_folder(load_lab(lab_path), None if data is None else Path(data))
        ours = start_lab(lab_path, folder, seed, speed)
        try:
            lab = cls.connect(lab_path, folder)
        except BaseException:
            if ours:
                stop_lab(lab_path, folder)
            raise
        lab._ours = ours
        return lab

    def node(self, name: str) -> Node:
        """A node.

        Raises:
            MisuseError: there is none of that name.
        """
        return _named(self.nodes, name, "node", self.name)

    def midpoint(self, name: str) -> Midpoint:
        """A midpoint.

        Raises:
            MisuseError: there is none of that name.
        """
        return _named(self.midpoints, name, "midpoint", self.name)

    def link(self, first: str, second: str | None = None) -> Link:
        """The link between two nodes in any order, or of a name.

        Raises:
            MisuseError: there is none.
        """
        if second is None:
            return _named(self.links, first, "link", self.name)
        for link in self.links.values():
            if set(link.nodes) == {first, second}:
                return link
        return _named(self.links, f"{first}-{second}", "link", self.name)

    def status(self, *, timeout_s: float = UP_S) -> dict[str, dict[str, Any] | None]:
        """What each daemon says of itself, None where it does not answer within ``timeout_s`` of wall time."""
        return self._front.run(self._front.connection.statuses(timeout_s=timeout_s), timeout_s + CALL_S)

    def snapshot(self, *, update: bool = False, timeout_s: float = SNAPSHOT_S) -> dict[str, Any]:
        """Snapshots of all sites, ``{"sites": {name: ...}}``; see `Site.snapshot`.

        A site that does not answer is an entry ``{"error": text}``.
        """
        return self._front.run(
            self._front.connection.snapshot(update=update, timeout_s=timeout_s), timeout_s + CALL_S
        )

    def close(self) -> None:
        """Close the connections; the lab stays up unless `start` brought it up. A second close does nothing."""
        atexit.unregister(self.close)
        try:
            self._front.close()
        finally:
            if self._ours:
                self._ours = False
                stop_lab(self.path, self.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._front.closed else "connected"
        return f"<Lab {self.name} ({self.path}, {state}): {', '.join([*self.nodes, *self.midpoints])}>"


def _named(known: dict[str, Part], name: str, what: str, lab: str) -> Part:
    try:
        return known[name]
    except KeyError:
        names = ", ".join(known) or "none"
        raise MisuseError(f"lab {lab} has no {what} {name!r}", hint=f"it has {names}") from None


def _up(lab_path: Path, data: str | Path | None) -> str:
    return f"qnode up {lab_path}" + ("" if data is None else f" --data {data}")


async def _require_up(connection: LabConnection, down: NetworkError) -> None:
    await connection.__aenter__()
    statuses = await connection.statuses(timeout_s=UP_S)
    silent = [name for name, status in statuses.items() if status is None]
    if len(silent) == len(statuses):
        raise down
    if silent:
        raise NetworkError(f"{down.message} as a whole: {', '.join(silent)} did not answer", hint=down.hint)
    await connection.require_same_lab()
