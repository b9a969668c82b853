"""One entangled pair, as it was settled."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pair"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One settled pair: what the midpoint heralded and both nodes read of it."""

    round: int
    """Counts on through the plans of a run."""
    attempt: int
    pattern: int
    """Click pattern, a bit mask: 1 det1, 2 det2; double click has 4 det1, 8 det2 for its second window."""
    bell: str
    """``psi+`` or ``psi-``."""
    click_ps: int
    """Lab time of the click that fired the herald line, from the origin T0 of its plan, at the tagger's input."""
    bases: tuple[str, str]
    """Letter that each node played, in the order of `Pairs.nodes`."""
    outcomes: tuple[int, int]
    """+1 or -1 of each node, in the frame of the state right after the herald."""
    bright: tuple[bool, bool]
    """What each readout said."""
    plan_id: str
