"""Where the daemons of a lab listen, whose keys they hold, and who has to hear of whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qnode.bus import Keyring
from qnode.labfile import Lab

__all__ = ["endpoint_of", "lab_keyring", "neighbours"]


def endpoint_of(lab: Lab, site: str, port: str, peers: Mapping[str, str] | None = None) -> str:
    """``tcp://address:port`` of a daemon's ``command``, ``stream`` or ``tap`` socket.

    Args:
        lab: the lab.
        site: whose.
        port: which of the three.
        peers: for a link over tunnels: site to the address that stands in for the one in the lab file.
    """
    bus = lab.sites[site].bus
    return f"tcp://{(peers or {}).get(site, bus.address)}:{getattr(bus, f'{port}_port')}"


def lab_keyring(lab: Lab, data_folder: Path) -> Keyring:
    """The keys of a lab; made by themselves where every endpoint is on loopback."""
    return Keyring.for_lab(data_folder, [endpoint_of(lab, site, "command") for site in lab.sites])


def neighbours(lab: Lab, site: str) -> list[str]:
    """The sites that a site plays plans with: a node's midpoints, a midpoint's nodes."""
    if site in lab.midpoints:
        return sorted({node for link in lab.links if link.via == site for node in link.between})
    return sorted({link.via for link in lab.links if site in link.between})
