"""``qnode keys init``: the CURVE keys of a lab whose daemons listen on a network."""

from __future__ import annotations

from pathlib import Path

from qnode.bus import Keyring
from qnode.cli._exit import say
from qnode.cli._lab import load
from qnode.client import OPERATOR

__all__ = ["init"]


def init(lab_path: Path, data: Path | None) -> None:
    """Make the pairs that are missing, one for each site and one for the operator; those that are there stay."""
    lab, folder = load(lab_path, data)
    keyring = Keyring(folder)
    identities = (*lab.sites, OPERATOR)
    for identity in identities:
        keyring.create(identity)
    say(f"keys of {', '.join(identities)} in {keyring.folder}")
    say("each host needs every .pub, and the .key of its own site (experiments: operator.key); files stay 0600")
