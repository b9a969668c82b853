"""One party's book of one plan: heralds, records, ledger. All of it can be rebuilt from the party's own journal.

A book is fed in one order only, the order in which its journal was written, live or after a restart.
"""

from __future__ import annotations

import enum

import msgspec

from qnode.heralds._ledger import CLASSES, ColumnArrays, Ledger, Reason, RoundClasses
from qnode.heralds._messages import (
    Column,
    Herald,
    Message,
    Plan,
    PlanEnd,
    Settlement,
    Summary,
    decode_message,
    encode_message,
)

__all__ = [
    "Expiry",
    "NodeRow",
    "PlanBook",
    "RecordKind",
    "column_record",
    "decode_rows",
    "encode_rows",
    "message_record",
]

HERALDED = CLASSES.index("heralded")
EXPIRED = CLASSES.index("expired")


class RecordKind(enum.IntEnum):
    """Kinds of records in a party's journal of a run."""

    PLAN = 1
    """A plan that this party accepted: `Plan`."""
    COLUMN = 2
    """What this party saw: `Column`."""
    ROWS = 3
    """A node's readouts: list of `NodeRow`."""
    MESSAGE = 4
    """What the midpoint said (at the midpoint: what it says): `Herald`, `Summary`, `Settlement`, `PlanEnd`."""


class NodeRow(msgspec.Struct, frozen=True, array_like=True):
    """A node's record of a round that the herald line ended."""

    round: int
    attempt: int
    basis: str
    """Of the branch that was played."""
    charge_counts: int
    readout_counts: int
    outcome: int
    """+1 or -1, in the frame of the state right after the herald."""


class Expiry(msgspec.Struct, frozen=True, array_like=True):
    """A herald that was taken back."""

    round: int
    attempt: int
    reason: str


_rows_decoder = msgspec.msgpack.Decoder(list[NodeRow])


def encode_rows(rows: list[NodeRow]) -> bytes:
    """Bytes of a ROWS record."""
    return msgspec.msgpack.encode(rows)


def decode_rows(payload: bytes) -> list[NodeRow]:
    """Rows of a ROWS record."""
    return _rows_decoder.decode(payload)


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
        self.ledger = Ledger(party, midpoint, nodes, plan.attempts)
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

    @property
    def played_attempts(self) -> int:
        """Attempts that were lit in settled rounds, as far as classes tell: all but the not played."""
        sums = self.ledger.accounting()
        return sums["slots"] - sums["not_played"]

    def enter(self, kind: int, payload: bytes) -> None:
        """Enter one record of the journal, live or on replay.

        Raises:
            LedgerError: a settlement that contradicts this party's own record.
        """
        if kind == RecordKind.COLUMN:
            self._enter_column(msgspec.msgpack.decode(payload, type=Column))
        elif kind == RecordKind.ROWS:
            self.rows.update((row.round, row) for row in decode_rows(payload))
        elif kind == RecordKind.MESSAGE:
            self._enter_message(decode_message(payload))

    def _enter_column(self, column: Column) -> None:
        arrays = ColumnArrays.of(column)
        self.ledger.fill(arrays)
        self.recorded_rounds = arrays.stop_round

    def _enter_message(self, message: Message) -> None:
        if isinstance(message, Herald):
            self.heralds[message.round] = message
        elif isinstance(message, Summary):
            self.summarised_rounds = message.stop_round
        elif isinstance(message, Settlement):
            self._enter_settlement(message)
        elif isinstance(message, PlanEnd):
            self.end = message

    def _enter_settlement(self, settlement: Settlement) -> None:
        columns = {column.party: ColumnArrays.of(column) for column in settlement.columns}
        first = self.ledger.settled_rounds
        self._close(first, self.ledger.settle(columns))

    def _close(self, first: int, classes: RoundClasses) -> None:
        for offset in classes.counts[:, HERALDED].nonzero()[0]:
            self.settled.append(self.heralds[first + int(offset)])
        for offset in classes.counts[:, EXPIRED].nonzero()[0]:
            herald = self.heralds.get(first + int(offset))
            if herald is not None:
                reason = Reason(int(classes.reason[offset])).name.lower()
                self.expired.append(Expiry(herald.round, herald.attempt, reason))

    def settled_rows(self, since: int) -> list[NodeRow]:
        """This node's rows of the settled heralds from the ``since``-th on."""
        return [self.rows[herald.round] for herald in self.settled[since:]]


def column_record(arrays: ColumnArrays, plan: Plan, party: str, *, midpoint: bool) -> bytes:
    """Bytes of a COLUMN record."""
    return msgspec.msgpack.encode(arrays.column(plan.plan_id, party, midpoint=midpoint))


def message_record(message: Message) -> bytes:
    """Bytes of a MESSAGE record: what travels."""
    return encode_message(message)
