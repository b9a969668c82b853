"""``qnode demo``: a whole simulated lab on one command, from its instruments to entangled pairs and a report."""

from __future__ import annotations

from pathlib import Path

from qnode.cli._board import Board
from qnode.cli._examples import example_lab
from qnode.cli._run import herald
from qnode.cli._session import SessionOptions
from qnode.errors import MisuseError
from qnode.labfile import load_lab_and_world

__all__ = ["demo"]

EXAMPLE = "two_nodes"


def demo(lab_path: Path | None, heralds: int, seed: int | None, data: Path | None, as_json: bool) -> int:
    """Herald entanglement in real time; 0 when enough heralds were settled, else 1.

    Raises:
        MisuseError: the lab is not simulated.
    """
    path = lab_path or example_lab(EXAMPLE)
    lab, world = load_lab_and_world(path)
    if world is None:
        raise MisuseError(f"{path} has no `world:`: there is nothing to simulate", hint="`qnode run` is for racks")
    links = ", ".join(f"{link.name} by {link.protocol.replace('_', ' ')}" for link in lab.links)
    board = Board(f"qnode demo: {links}, lab file {path}", lab)
    return herald(SessionOptions(path, None, seed, None, data), board, heralds=heralds, as_json=as_json)
