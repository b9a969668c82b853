"""What several commands need of a lab file: its data folder, its processes."""

from __future__ import annotations

import math
from pathlib import Path

from qnode.errors import MisuseError
from qnode.labfile import Lab, World, data_folder, load_lab, load_lab_and_world, simulated_instruments

__all__ = ["data_folder", "load", "load_whole", "parse_peers", "parse_speed", "simulated_instruments"]


def load(path: Path, option: Path | None) -> tuple[Lab, Path]:
    """Lab and absolute data folder of a command that never looks into `world:`."""
    lab = load_lab(path)
    return lab, data_folder(lab, option)


def load_whole(path: Path, option: Path | None) -> tuple[Lab, World | None, Path]:
    """Lab, world and absolute data folder of a command that may start simulators."""
    lab, world = load_lab_and_world(path)
    return lab, world, data_folder(lab, option)


def parse_speed(text: str | None) -> str | None:
    """Check a ``--speed``.

    Raises:
        MisuseError: neither ``max`` nor a positive number.
    """
    if text is None or text == "max":
        return text
    try:
        good = 0 < float(text) < math.inf
    except ValueError:
        good = False
    if not good:
        raise MisuseError(f"--speed {text}: expected `max` or a positive number", hint="1 is real time")
    return text


def parse_peers(options: list[str]) -> dict[str, str]:
    """Check ``--via SITE=ADDRESS``.

    Raises:
        MisuseError: not of that form.
    """
    peers = {}
    for option in options:
        site, separator, address = option.partition("=")
        if not separator or not site or not address:
            raise MisuseError(f"--via {option}: expected SITE=ADDRESS", hint="for example --via midpoint=127.0.0.1")
        peers[site] = address
    return peers
