"""A Bell test: heralded pairs read in bases that each node chooses by itself, scored as the CHSH game.

The first node reads Z or X, the second (Z + X)/sqrt2 or (Z - X)/sqrt2. Trials are the first N settled heralds, N fixed
beforehand; outcomes are taken as they were read. `BellTest.loopholes` says what such a test leaves open.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass

from qnode.analysis import (
    CHSH_LETTERS,
    CHSH_SETTINGS,
    Estimate,
    GameCounts,
    chsh_p_value,
    chsh_value,
    count_games,
)
from qnode.client import LabConnection, Pairs, PlayOptions, Progress, play_pairs
from qnode.labfile import Link

__all__ = ["SIGNIFICANCE", "BellOptions", "BellTest", "Loophole", "run_bell"]

SIGNIFICANCE = 0.05
"""P-value from which down a test counts as a violation; fixed before any data."""
BEFORE_THE_HERALD = "charge"
"""Reason that takes a herald back and was decided by light from before the round's first attempt."""


@dataclass(frozen=True)
class BellOptions:
    """What to run."""

    trials: int
    """Settled heralds that count, fixed beforehand."""
    seed: int | None = None
    """Of the nodes' choices; None: each takes entropy of its operating system."""
    credit_rounds: int = 1024


async def run_bell(
    lab: LabConnection,
    link: Link,
    options: BellOptions,
    run_id: str,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Pairs:
    """Play until enough heralds are settled; see `qnode.client.play_pairs` for the ways in which it can end.

    Before each plan both nodes draw their bases, as many as the plan has rounds; no letter is played twice.

    Args:
        lab: connections to all daemons.
        link: where.
        options: what.
        run_id: name of the run.
        on_progress: called some times a second.
    """
    draws = 0

    async def draw(rounds: int) -> dict[str, str]:
        nonlocal draws
        asked = {"run_id": run_id, "rounds": rounds, "seed": options.seed, "draw": draws}
        drawn = await asyncio.gather(
            *(
                lab.call(node, "draw_bases", {**asked, "letters": letters})
                for node, letters in zip(link.between, CHSH_LETTERS, strict=True)
            )
        )
        draws += 1
        return dict(zip(link.between, drawn, strict=True))

    plays = PlayOptions(options.trials, bases=draw, credit_rounds=options.credit_rounds)
    return await play_pairs(lab, link, plays, run_id, on_progress)


@dataclass(frozen=True)
class Loophole:
    """One way in which a local model could do as well, and what this test says to it."""

    name: str
    closed: bool
    why: str


class BellTest:
    """What the pairs of a Bell test say.

    Args:
        pairs: all pairs of the run.
        options: what was asked for.
    """

    def __init__(self, pairs: Pairs, options: BellOptions) -> None:
        self.pairs, self.options = pairs, options
        self.surplus = max(len(pairs) - options.trials, 0)
        """Settled heralds beyond the trials; they don't count."""
        self.games = count_games((p.bell, p.bases, p.outcomes) for p in pairs[: options.trials])
        """Bell state to settings to counts."""

    @functools.cached_property
    def settings(self) -> dict[str, GameCounts]:
        """Counts of each pair of settings, both Bell states together."""
        none = GameCounts(0, 0)
        return {
            name: functools.reduce(GameCounts.__add__, (games[name] for games in self.games.values()), none)
            for name in CHSH_SETTINGS
        }

    @property
    def trials(self) -> int:
        """Heralds that count."""
        return sum(counts.trials for counts in self.settings.values())

    @property
    def wins(self) -> int:
        """Trials that won."""
        return sum(counts.wins for counts in self.settings.values())

    @property
    def s(self) -> Estimate | None:
        """S of both Bell states together; None while a pair of settings has no trial."""
        return _value(self.settings)

    def s_of(self, bell: str) -> Estimate | None:
        """S of one Bell state alone; None while a pair of settings has no trial of it."""
        return _value(self.games[bell])

    @property
    def p_value(self) -> float | None:
        """See `qnode.analysis.chsh_p_value`; None without trials."""
        return chsh_p_value(self.wins, self.trials) if self.trials else None

    @property
    def violated(self) -> bool:
        """Whether S is above 2 and the P-value at most `SIGNIFICANCE`."""
        s, p = self.s, self.p_value
        return s is not None and p is not None and s.value > 2 and p <= SIGNIFICANCE

    def verdict(self, predicted_s: float | None) -> str:
        """What may be said of it, in one sentence or two.

        Args:
            predicted_s: what the physics promises, where it is known.
        """
        s, p = self.s, self.p_value
        if s is None or p is None:
            said = f"S is not defined: of {self.trials} trials, none came at one of the four pairs of settings."
        elif self.violated:
            said = (
                f"The CHSH inequality is violated at the {SIGNIFICANCE:.0%} level: a local model without the loopholes "
                f"below wins so often with a probability of {p:.2g} at the most."
            )
        elif s.value > 2:
            said = f"No violation is shown: a local model wins as often with a probability of up to {p:.2g}."
        else:
            said = "No violation: S is not above 2."
        if predicted_s is not None and predicted_s <= 2:
            said += f" No violation is expected: predicted S = {predicted_s:.2f}."
        return said

    def loopholes(self) -> list[Loophole]:
        """What a local model could use, each with what this run did about it."""
        return [self._detection(), self._stopping(), _locality(), self._choice(), _memory()]

    def _detection(self) -> Loophole:
        after = [reason for _, _, reason in self.pairs.expired if reason != BEFORE_THE_HERALD]
        if not after:
            why = "every herald gave a trial, and every readout an outcome: no count means dark"
            return Loophole("detection", True, why)
        reasons = ", ".join(sorted(set(after)))
        why = f"{len(after)} heralds were taken back after their readout ({reasons}); their outcomes are left out"
        return Loophole("detection", False, why)

    def _stopping(self) -> Loophole:
        if self.trials < self.options.trials:
            why = f"the run ended after {self.trials} of {self.options.trials} trials: {self.pairs.ended}"
            return Loophole("optional stopping", False, why)
        why = f"the number of trials, {self.trials}, was fixed beforehand; the first so many settled heralds count"
        return Loophole("optional stopping", True, why)

    def _choice(self) -> Loophole:
        source = (
            "from the entropy of its operating system"
            if self.options.seed is None
            else f"with a pseudo-random generator, seed {self.options.seed}: who knows the seed knows all bases"
        )
        first, second = self.pairs.nodes
        why = (
            f"each node drew its bases in software, {source}; they were uploaded to {first}'s and {second}'s AWG and "
            "stood in the plan of all three parties before the first photon"
        )
        return Loophole("freedom of choice", False, why)


def _locality() -> Loophole:
    why = (
        "neither the choice of a basis nor a readout is outside the light cone of the other node or of the herald: bases "
        "are known everywhere before the plan begins"
    )
    return Loophole("locality", False, why)


def _memory() -> Loophole:
    why = (
        "the P-value holds for models that remember all earlier trials, but only with bases that can't be foreseen; here "
        "they could be. The error of S takes all trials as alike"
    )
    return Loophole("memory", False, why)


def _value(games: dict[str, GameCounts]) -> Estimate | None:
    return chsh_value(games) if all(counts.trials for counts in games.values()) else None
