"""What several commands need of a lab file: its data folder, its processes."""

from __future__ import annotations

from pathlib import Path

from qnode.errors import MisuseError
from qnode.labfile import Lab, load_lab

__all__ = ["data_folder", "parse_peers", "parse_speed", "simulated_instruments"]


def data_folder(lab: Lab, option: Path | None) -> Path:
    """Absolute data folder: the option's, or the lab file's seen from here."""
    return (option or Path(lab.data.folder)).resolve()


def load(path: Path, option: Path | None) -> tuple[Lab, Path]:
    """Lab and absolute data folder of a command."""
    lab = load_lab(path)
    return lab, data_folder(lab, option)


def parse_speed(text: str | None) -> str | None:
    """Check a ``--speed``.

    Raises:
        MisuseError: neither ``max`` nor a positive number.
    """
    if text is None or text == "max":
        return text
    try:
        good = float(text) > 0
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


def simulated_instruments(lab: Lab) -> list[str]:
    """``site.instrument`` of all that are simulated."""
    return [
        f"{site}.{name}" for site, part in lab.sites.items() for name, entry in part.rack.items() if entry.simulated
    ]
