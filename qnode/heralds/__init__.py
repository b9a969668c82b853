"""Plans, heralds and their account: what is pure of them. Daemons bring sockets, disks and instruments."""

from qnode.heralds._book import Expiry, PlanBook
from qnode.heralds._engine import Decision, Engine
from qnode.heralds._ledger import (
    CLASSES,
    ColumnArrays,
    Ledger,
    LedgerError,
    Reason,
    RoundClasses,
    classify,
    masked_column,
)
from qnode.heralds._messages import (
    HERALD_WIRE_VERSION,
    Armed,
    Column,
    Herald,
    Message,
    NodeRow,
    Plan,
    PlanEnd,
    Rows,
    Settlement,
    Summary,
    decode_message,
    encode_message,
)
from qnode.heralds._programs import LinkPrograms, NodeWindows, Program, driver_limits, programs_sha256, site_wiring
from qnode.heralds._rules import DOUBLE_CLICK, SINGLE_CLICK, HeraldRules, rules_of
from qnode.heralds._timing import LinkTiming, NodeOffsets, TimingError, link_timing

__all__ = [
    "CLASSES",
    "DOUBLE_CLICK",
    "HERALD_WIRE_VERSION",
    "SINGLE_CLICK",
    "Armed",
    "Column",
    "ColumnArrays",
    "Decision",
    "Engine",
    "Expiry",
    "Herald",
    "HeraldRules",
    "Ledger",
    "LedgerError",
    "LinkPrograms",
    "LinkTiming",
    "Message",
    "NodeOffsets",
    "NodeRow",
    "NodeWindows",
    "Plan",
    "PlanBook",
    "PlanEnd",
    "Program",
    "Reason",
    "RoundClasses",
    "Rows",
    "Settlement",
    "Summary",
    "TimingError",
    "classify",
    "decode_message",
    "driver_limits",
    "encode_message",
    "link_timing",
    "masked_column",
    "programs_sha256",
    "rules_of",
    "site_wiring",
]
