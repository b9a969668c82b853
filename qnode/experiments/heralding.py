"""Heralding: entangled pairs on one link, counted, read out in X, Y and Z in turn, and their fidelity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qnode.client import LabConnection, Pairs, PlayOptions, Progress, play_pairs
from qnode.labfile import Link

__all__ = ["HeraldingOptions", "run_heralding"]


@dataclass(frozen=True)
class HeraldingOptions:
    """What to run."""

    heralds: int
    """Settled heralds wanted, at least."""
    bases: str = "XYZ"
    """Round k is read out in letter k modulo the length, at both nodes."""
    credit_rounds: int = 1024
    echo: bool = True


async def run_heralding(
    lab: LabConnection,
    link: Link,
    options: HeraldingOptions,
    run_id: str,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Pairs:
    """Play until enough heralds are settled; see `qnode.client.play_pairs` for the ways in which it can end.

    Args:
        lab: connections to all daemons.
        link: where.
        options: what.
        run_id: name of the run.
        on_progress: called some times a second.
    """
    plays = PlayOptions(options.heralds, options.bases, options.credit_rounds, options.echo)
    return await play_pairs(lab, link, plays, run_id, on_progress)
