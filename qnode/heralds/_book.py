"""One party's book of one plan: heralds, records, ledger. All of it can be rebuilt from the party's own journal.

A book is fed in one order only, the order in which its journal was written, live or after a restart.
"""

from __future__ import annotations

import msgspec

from qnode.heralds._ledger import CLASSES, ColumnArrays, Ledger, LedgerError, Reason, RoundClasses
from qnode.heralds._messages import Column, Herald, Message, NodeRow, Plan, PlanEnd, Rows, Settlement, Summary
from qnode.heralds._rules import rules_of

__all__ = ["Expiry", "PlanBook"]

HERALDED = CLASSES.index("heralded")
EXPIRED = CLASSES.index("expired")


class Expiry(msgspec.Struct, frozen=True, array_like=True):
    """A herald that was taken back."""

    round: int
    attempt: int
    reason: str


class PlanBook:
    """What one party knows of one plan.

    Args:
        plan: the plan.
        party: whose book it is.
        midpoint: name of the midpoint.
        nodes: names of the nodes, in the link's order.
    """

    def __init__(self, plan: Plan, party: str, midpoint: str, nodes: tuple[str, str]) -> None:
        self.plan = plan
        self.party = party
        self.ledger = Ledger(party, midpoint, nodes, plan.attempts, rules_of(plan.protocol))
        self.heralds: dict[int, Herald] = {}
        """Provisional, by round."""
        self.rows: dict[int, NodeRow] = {}
        self.settled: list[Herald] = []
        """Settled heralds in order of rounds."""
        self.expired: list[Expiry] = []
        self.recorded_rounds = 0
        """Rounds below this one stand in this party's column."""
        self.summarised_rounds = 0
        """Rounds below this one the midpoint has decided."""
        self.end: PlanEnd | None = None

    def enter(self, message: Message) -> None:
        """Enter one record, live or on replay. Columns and rows of other parties mean nothing here.

        Raises:
            LedgerError: a settlement that contradicts this party's own record, or counts a herald that it never got.
        """
        match message:
            case Column(party=self.party):
                arrays = ColumnArrays.of(message)
                self.ledger.fill(arrays)
                self.recorded_rounds = arrays.stop_round
            case Rows(party=self.party):
                self.rows.update((row.round, row) for row in message.rows)
            case Herald():
                self.heralds[message.round] = message
            case Summary():
                self.summarised_rounds = message.stop_round
            case Settlement():
                self._enter_settlement(message)
            case PlanEnd():
                self.end = message

    def _enter_settlement(self, settlement: Settlement) -> None:
        columns = {column.party: ColumnArrays.of(column) for column in settlement.columns}
        first = self.ledger.settled_rounds
        self._close(first, self.ledger.settle(columns))

    def _close(self, first: int, classes: RoundClasses) -> None:
        for offset in classes.counts[:, HERALDED].nonzero()[0]:
            round_ = first + int(offset)
            if round_ not in self.heralds:
                raise LedgerError(
                    f"{self.party}: round {round_} is settled as heralded, but its herald never came", round=round_
                )
            self.settled.append(self.heralds[round_])
        for offset in classes.counts[:, EXPIRED].nonzero()[0]:
            herald = self.heralds.get(first + int(offset))
            if herald is not None:
                reason = Reason(int(classes.reason[offset])).name.lower()
                self.expired.append(Expiry(herald.round, herald.attempt, reason))

    def settled_rows(self, since: int) -> list[NodeRow]:
        """This node's rows of the settled heralds from the ``since``-th on."""
        return [self.rows[herald.round] for herald in self.settled[since:]]
