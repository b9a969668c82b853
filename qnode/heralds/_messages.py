"""What travels on the herald plane, version 1: plan, herald, summary, column, settlement.

All are msgspec structs in msgpack; times are int64 picoseconds from the plan's origin T0; Bell states go by name.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from qnode.errors import NetworkError

__all__ = [
    "HERALD_WIRE_VERSION",
    "Armed",
    "Column",
    "Herald",
    "Message",
    "NodeRow",
    "Plan",
    "PlanEnd",
    "Rows",
    "Settlement",
    "Summary",
    "decode_message",
    "encode_message",
]

HERALD_WIRE_VERSION: Final = 1

PlanKind = Literal["heralding", "readout_calibration"]


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag="plan", array_like=True):
    """What all parties are about to play; proposed by the midpoint, accepted or refused whole by each node."""

    plan_id: str
    """16 hex digits, new for each plan."""
    run_id: str
    kind: PlanKind
    link: str
    protocol: str
    t0_tai_s: int
    """Origin T0: a whole TAI second."""
    rounds: int
    first_round: int
    """Number, in the run, of this plan's round 0: plans of one run count on."""
    attempts: int
    """Attempts per round, N; shots per round in a readout calibration."""
    round_period_ps: int
    attempt_period_ps: int
    bases: dict[str, str]
    """Node to one letter (`sequences.library.BASES`) a line pair of its uploaded table; round k has letter k modulo the
    length."""
    echo: bool
    """Whether the branch refocuses; off only to show what an echo is for."""
    sequences: dict[str, str]
    """Party to SHA-256 of the programs that it must have uploaded; who plays nothing in such a plan has none."""
    lab_sha256: str
    credit_rounds: int
    """How many rounds lab time may run ahead of what a party has digested (simulated labs)."""
    boot_id: str
    """Of the midpoint that proposed it."""
    version: Literal[1] = HERALD_WIRE_VERSION

    @property
    def t0_ps(self) -> int:
        """Origin in TAI picoseconds."""
        return self.t0_tai_s * 1_000_000_000_000


class Armed(msgspec.Struct, frozen=True, kw_only=True):
    """A party's word that its pulser waits for the edge of T0."""

    plan_id: str
    party: str
    t0_tai_s: int
    lab_time_ms: int
    """The party's own lab time when it armed, TAI milliseconds: a label that is a second wrong shows here."""


class Herald(msgspec.Struct, frozen=True, kw_only=True, tag="herald", array_like=True):
    """One click pattern that says: these two qubits are now entangled. Provisional until its round is settled."""

    plan_id: str
    round: int
    attempt: int
    pattern: int
    """Bit mask: 1 det1, 2 det2; double click has 4 det1, 8 det2 for its second window."""
    bell: str
    """``psi+`` or ``psi-``."""
    click_ps: int
    """From T0, at the detector's tagger input; of the click that fired the line."""
    valid_until_ps: int
    """From T0: after this moment of lab time the herald is late and never acted on."""


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag="summary", array_like=True):
    """The midpoint has decided all rounds below ``stop_round``; what it did not herald is not heralded."""

    plan_id: str
    first_round: int
    stop_round: int
    heralds: int
    """Heralds among them: a party that counts fewer has lost one."""


class Column(msgspec.Struct, frozen=True, kw_only=True, tag="column", array_like=True):
    """One party's column of the ledger for a range of rounds, from its own wire."""

    plan_id: str
    party: str
    first_round: int
    attempt: bytes
    """int16 LE a round: attempt after which the round ended (node: the line's tag; midpoint: the first pattern's
    attempt); -1: the round was played to its end."""
    pattern: bytes
    """uint8 a round: the midpoint's click pattern, 0 for none; empty from a node."""
    mask: bytes
    """uint8 a round: `Reason` why this party rules the round out, 0 for none."""


class NodeRow(msgspec.Struct, frozen=True, array_like=True):
    """A node's record of a round that the herald line ended."""

    round: int
    attempt: int
    basis: str
    """Of the branch that was played."""
    charge_counts: int
    readout_counts: int
    bright: bool
    """What the readout said."""
    outcome: int
    """+1 or -1, in the frame of the state right after the herald."""


class Rows(msgspec.Struct, frozen=True, kw_only=True, tag="rows", array_like=True):
    """A node's readouts, for its own journal; no other party uses them."""

    plan_id: str
    party: str
    rows: list[NodeRow]


class Settlement(msgspec.Struct, frozen=True, kw_only=True, tag="settlement", array_like=True):
    """The three columns of a range side by side. Each party classifies from its own column and the others'."""

    plan_id: str
    columns: list[Column]


class PlanEnd(msgspec.Struct, frozen=True, kw_only=True, tag="plan_end", array_like=True):
    """No settlement of this plan will follow."""

    plan_id: str
    rounds: int
    """Rounds settled."""
    reason: str
    """``done``, or why it ended early."""


Message = Plan | Herald | Summary | Column | Rows | Settlement | PlanEnd

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode_message(message: Message) -> bytes:
    """Bytes of one message of the herald plane."""
    return _encoder.encode(message)


def decode_message(payload: bytes) -> Message:
    """The message in a payload.

    Raises:
        NetworkError: it is none of this version.
    """
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise NetworkError(
            f"this is no message of the herald plane, version {HERALD_WIRE_VERSION}: {error}",
            hint="all parties of a lab, and who wrote its journals, must run one version of qnode",
        ) from error
