"""``qnode demo``: a whole simulated lab on one command, from its instruments to entangled pairs and a report."""

from __future__ import annotations

from pathlib import Path

from qnode.cli._board import Board
from qnode.cli._examples import example_lab
from qnode.cli._run import herald
from qnode.cli._session import Session, SessionOptions
from qnode.errors import MisuseError
from qnode.experiments import HeraldingOptions

__all__ = ["demo"]

EXAMPLE = "two_nodes"


def demo(lab_path: Path | None, heralds: int, seed: int | None, data: Path | None, as_json: bool) -> int:
    """Herald entanglement in real time; 0 when enough heralds were settled, else 1.

    Raises:
        MisuseError: the lab is not simulated.
    """
    path = lab_path or example_lab(EXAMPLE)
    session = Session(SessionOptions(path, None, seed, None, data), "heralding")
    if session.world is None:
        raise MisuseError(f"{path} has no `world:`: there is nothing to simulate", hint="`qnode run` is for racks")
    title = f"qnode demo: {session.link.name} by {session.link.protocol.replace('_', ' ')}, lab file {path}"
    return herald(session, HeraldingOptions(heralds=heralds), Board(title), as_json=as_json)
