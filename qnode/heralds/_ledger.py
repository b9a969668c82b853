"""The ledger: every slot gets one class, from three columns that were filled apart.

A slot is (round, attempt). `classify` is pure: three columns in, classes out; every party runs it on its own column
and the two others' as the settlement carries them, so equal sums are a finding, not a copy.

Rules, round by round, with N attempts (checked by hand in ``tests/unit/heralds/test_ledger.py``):

1. A round that any party masks: all N masked; if it had a herald, that slot is expired instead. Reason: the mask's.
2. No pattern, no line at either node: N failed.
3. Pattern in attempt m, and both lines say m: m failed, the slot heralded or vetoed (`_rules`),
   N - m - 1 not played.
4. The parties differ: slots before the first event that any party saw are failed; the herald's slot is expired
   (``line_missing`` where a node saw no line, else ``attempt_differs``); all other slots are masked with that reason
   (``line_without_pattern`` where the midpoint saw nothing).

A slot whose herald was announced is heralded or expired, never masked.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnode.errors import QnodeError
from qnode.heralds._messages import Column
from qnode.heralds._rules import SINGLE_CLICK, HeraldRules

__all__ = ["CLASSES", "ColumnArrays", "Ledger", "LedgerError", "Reason", "RoundClasses", "classify", "masked_column"]

CLASSES = ("not_played", "failed", "heralded", "vetoed", "masked", "expired")


class Reason(enum.IntEnum):
    """Why a round is masked or a herald expired.

    The numbers stand in journals: those of reasons that are gone (2, 5, 6, which no version has written) stay free.
    """

    NONE = 0
    CHARGE = 1
    """Charge check below its threshold."""
    TAG_GAP = 3
    """The tagger lost words, or a round sync is missing."""
    CLOCK_FAULT = 4
    """Round sync and pulse per second do not agree."""
    NEVER_SETTLED = 7
    """The plan ended before the round could be settled."""
    LINE_DIFFERS = 8
    """The midpoint's clicks and its own tag of the herald line differ."""
    LATE = 9
    """The herald came after its valid_until."""
    LINE_MISSING = 10
    """Herald without a line at a node."""
    ATTEMPT_DIFFERS = 11
    """Line and herald name different attempts."""
    LINE_WITHOUT_PATTERN = 12
    """A node saw the line, the midpoint no pattern."""
    HERALD_MISSING = 13
    """A node saw fewer heralds than the midpoint announced."""


class LedgerError(QnodeError):
    """A settlement that contradicts what this party has on its own disk."""

    code = "ledger"


@dataclass(frozen=True, eq=False)
class ColumnArrays:
    """A `Column` as arrays, each of shape (rounds,)."""

    first_round: int
    attempt: NDArray[np.int16]
    pattern: NDArray[np.uint8]
    mask: NDArray[np.uint8]

    @classmethod
    def of(cls, column: Column) -> ColumnArrays:
        """Decode; a node's missing patterns are zero."""
        attempt = np.frombuffer(column.attempt, "<i2").astype(np.int16)
        mask = np.frombuffer(column.mask, np.uint8)
        pattern = np.frombuffer(column.pattern, np.uint8) if column.pattern else np.zeros(len(attempt), np.uint8)
        if not len(attempt) == len(mask) == len(pattern):
            raise LedgerError(
                f"column of {column.party} from round {column.first_round}: lengths {len(attempt)}, "
                f"{len(pattern)}, {len(mask)} differ",
                hint="the two ends speak different versions; update both",
            )
        return cls(column.first_round, attempt, pattern, mask)

    def column(self, plan_id: str, party: str, *, midpoint: bool) -> Column:
        """Encode for the wire."""
        return Column(
            plan_id=plan_id,
            party=party,
            first_round=self.first_round,
            attempt=self.attempt.astype("<i2").tobytes(),
            pattern=self.pattern.tobytes() if midpoint else b"",
            mask=self.mask.tobytes(),
        )

    @property
    def stop_round(self) -> int:
        """One past the last round."""
        return self.first_round + len(self.attempt)

    def between(self, first_round: int, stop_round: int) -> ColumnArrays:
        """The part of the rounds [first_round, stop_round), which must lie inside."""
        span = slice(first_round - self.first_round, stop_round - self.first_round)
        return ColumnArrays(first_round, self.attempt[span], self.pattern[span], self.mask[span])

    @classmethod
    def joined(cls, parts: list[ColumnArrays]) -> ColumnArrays:
        """Parts that follow each other, as one."""
        return cls(
            parts[0].first_round,
            np.concatenate([part.attempt for part in parts]),
            np.concatenate([part.pattern for part in parts]),
            np.concatenate([part.mask for part in parts]),
        )


def masked_column(first_round: int, rounds: int, reason: Reason) -> ColumnArrays:
    """A column of a party that has nothing to say of these rounds."""
    return ColumnArrays(
        first_round,
        np.full(rounds, -1, np.int16),
        np.zeros(rounds, np.uint8),
        np.full(rounds, reason, np.uint8),
    )


@dataclass(frozen=True, eq=False)
class RoundClasses:
    """Slots of each class, and the reason of what was masked or expired, one row a round."""

    counts: NDArray[np.int64]
    """Shape (rounds, 6), in the order of `CLASSES`; each row sums to N."""
    reason: NDArray[np.uint8]
    """Shape (rounds,), `Reason`."""


def classify(
    attempts: int,
    midpoint: ColumnArrays,
    first: ColumnArrays,
    second: ColumnArrays,
    rules: HeraldRules = SINGLE_CLICK,
) -> RoundClasses:
    """Give each slot of a range of rounds its class.

    Args:
        attempts: N, slots a round.
        midpoint: the midpoint's column.
        first: a node's column, same rounds.
        second: the other node's.
        rules: which patterns herald and which are vetoed.
    """
    rounds = len(midpoint.attempt)
    m, a, b = (np.where(c.attempt < 0, attempts, c.attempt).astype(np.int64) for c in (midpoint, first, second))
    announced = rules.heralded(midpoint.pattern)
    mask = np.where(midpoint.mask > 0, midpoint.mask, np.where(first.mask > 0, first.mask, second.mask))
    masked = mask > 0
    agree = (m == a) & (m == b) & ~masked
    differ = ~agree & ~masked
    earliest = np.minimum(m, np.minimum(a, b))

    failed = np.where(masked, 0, earliest)
    heralded = (agree & announced).astype(np.int64)
    vetoed = (agree & rules.vetoed(midpoint.pattern)).astype(np.int64)
    not_played = np.where(agree, attempts - m - (m < attempts), 0)
    expired = ((masked | differ) & announced).astype(np.int64)
    rest = np.where(masked | differ, attempts - failed - expired, 0)

    no_line = (first.attempt < 0) | (second.attempt < 0)
    why = np.where(
        midpoint.attempt < 0,
        Reason.LINE_WITHOUT_PATTERN,
        np.where(no_line, Reason.LINE_MISSING, Reason.ATTEMPT_DIFFERS),
    )
    reason = np.where(masked, mask, np.where(differ, why, 0)).astype(np.uint8)
    counts = np.stack([not_played, failed, heralded, vetoed, rest, expired], axis=1)
    assert counts.shape == (rounds, len(CLASSES))
    return RoundClasses(counts.astype(np.int64), reason)


class Ledger:
    """One party's account of one plan: settled ranges in order, and their sums.

    Args:
        party: who keeps it.
        midpoint: name of the midpoint.
        nodes: names of the two nodes, in the link's order.
        attempts: N.
        rules: of the plan's protocol.
    """

    def __init__(
        self,
        party: str,
        midpoint: str,
        nodes: tuple[str, str],
        attempts: int,
        rules: HeraldRules = SINGLE_CLICK,
    ) -> None:
        self.party = party
        self.midpoint = midpoint
        self.nodes = nodes
        self.attempts = attempts
        self.rules = rules
        self.settled_rounds = 0
        self.sums = np.zeros(len(CLASSES), np.int64)
        self.slots_by_reason: dict[str, dict[str, int]] = {"masked": {}, "expired": {}}
        self._own: list[ColumnArrays] = []

    def fill(self, column: ColumnArrays) -> None:
        """Enter what this party saw itself; ranges follow each other."""
        self._own.append(column)

    def settle(self, columns: Mapping[str, ColumnArrays]) -> RoundClasses:
        """Hold the settlement's copy of our column against what we saw, then classify the range.

        A round that the settlement masks for this party (it was away) is masked, whatever it saw.

        Raises:
            LedgerError: the range does not follow, or the settlement's copy of our column is not what we saw; the
                text names the round.
        """
        theirs = columns[self.party]
        first, stop = theirs.first_round, theirs.stop_round
        if first != self.settled_rounds:
            raise LedgerError(f"{self.party}: settlement of round {first} came, {self.settled_rounds} was due")
        own = self._own_between(first, stop, theirs)
        different = (theirs.mask == 0) & (
            (own.attempt != theirs.attempt) | (own.pattern != theirs.pattern) | (own.mask != theirs.mask)
        )
        if different.any():
            where = first + int(np.argmax(different))
            raise LedgerError(
                f"{self.party}: the settlement of round {where} is not what {self.party} saw",
                hint="keep the journals of all three parties and compare that round",
                round=where,
                party=self.party,
            )
        classes = classify(
            self.attempts, columns[self.midpoint], columns[self.nodes[0]], columns[self.nodes[1]], self.rules
        )
        self._add(classes)
        self.settled_rounds = stop
        return classes

    def _own_between(self, first: int, stop: int, theirs: ColumnArrays) -> ColumnArrays:
        """What we saw of a range; rounds beyond our own record stand as the settlement masks them."""
        parts = [part for part in self._own if part.stop_round > first]
        self._own = parts
        own = ColumnArrays.joined(parts) if parts else masked_column(first, 0, Reason.NONE)
        have = min(stop, own.stop_round) if parts else first
        seen = own.between(first, have) if have > first else masked_column(first, 0, Reason.NONE)
        if have == stop:
            return seen
        if (theirs.mask[have - first :] == 0).any():
            raise LedgerError(
                f"{self.party}: round {have} was settled before {self.party} had recorded it", round=have
            )
        return ColumnArrays.joined([seen, theirs.between(have, stop)])

    def _add(self, classes: RoundClasses) -> None:
        self.sums += classes.counts.sum(axis=0)
        for name in ("masked", "expired"):
            amount = classes.counts[:, CLASSES.index(name)]
            totals = np.bincount(classes.reason, weights=amount)
            book = self.slots_by_reason[name]
            for code in np.flatnonzero(totals):
                key = Reason(int(code)).name.lower()
                book[key] = book.get(key, 0) + int(totals[code])

    def accounting(self) -> dict[str, int]:
        """Slots and their classes over all settled rounds; they add up."""
        sums = dict(zip(CLASSES, (int(n) for n in self.sums), strict=True))
        return {"slots": self.settled_rounds * self.attempts, **sums}
