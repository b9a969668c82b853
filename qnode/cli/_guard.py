"""``qnode guard``: a guard that takes the place of one that is gone; a daemon starts it."""

from __future__ import annotations

from pathlib import Path

from qnode.cli._lab import load, parse_peers
from qnode.daemons import guard_process, load_drivers
from qnode.errors import MisuseError

__all__ = ["guard"]


def guard(lab_path: Path, site: str, data: Path | None, words_fd: int, life_fd: int, via: list[str]) -> None:
    """Wait for the end of a daemon and make its instruments safe if it could not; never returns."""
    lab, folder = load(lab_path, data)
    if site not in lab.sites:
        raise MisuseError(f"{lab_path}: there is no site {site}", hint=f"sites of this lab: {', '.join(lab.sites)}")
    load_drivers(lab_path, lab.sites[site])
    guard_process(lab, site, folder, words_fd, life_fd, parse_peers(via))
