"""A node's choice of what it reads in each round, from randomness of its own."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np

from qnode.errors import MisuseError
from sequences.library import BASES

__all__ = ["draw_letters"]


def draw_letters(letters: str, rounds: int, node: str, *, seed: int | None = None, draw: int = 0) -> str:
    """One letter for each round, all equally probable and independent.

    Args:
        letters: to choose from.
        rounds: how many.
        node: whose choice it is: of one seed, each node makes another one.
        seed: None takes the operating system's entropy; else a counter-based generator (Philox) keyed by seed, node and
            ``draw``, so that a run can be repeated, and so that whoever knows the seed knows the letters.
        draw: number of this draw in its run.

    Raises:
        MisuseError: no rounds, no letters, or one that no branch can read.
    """
    if rounds < 1 or not letters or set(letters) - set(BASES):
        raise MisuseError(
            f"{node} is to draw bases for {rounds} rounds from {letters!r}",
            hint=f"ask for at least one round, with letters of {BASES}",
        )
    if seed is None:
        return "".join(secrets.choice(letters) for _ in range(rounds))
    key = hashlib.sha256(f"bases {seed} {node} {draw}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
    return "".join(letters[index] for index in generator.integers(len(letters), size=rounds).tolist())
