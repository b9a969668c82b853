"""A lab from outside: calls to its daemons over the bus, and entangled pairs from its links.

`Lab` is the synchronous front for people; `LabConnection` and `play_pairs` are what experiments are made of.
"""

from qnode.client._connection import OPERATOR, LabConnection
from qnode.client._document import pairs_document
from qnode.client._instruments import ParameterInfo, RemoteInstrument, RemoteModule, RemoteParameter
from qnode.client._lab import Lab
from qnode.client._link import Link
from qnode.client._pair import Pair
from qnode.client._pairs import Pairs, PlayedPlan
from qnode.client._playing import DrawBases, PlanEndedError, PlayOptions, Progress, play_pairs, progress_line
from qnode.client._record import (
    REPORT,
    keep,
    opening_facts,
    reached,
    read_document,
    take_notes,
    try_report,
    write_report,
)
from qnode.client._sites import Midpoint, Node, Site
from qnode.client._tally import BellEstimate, PairTally, mean_fidelity

__all__ = [
    "OPERATOR",
    "REPORT",
    "BellEstimate",
    "DrawBases",
    "Lab",
    "LabConnection",
    "Link",
    "Midpoint",
    "Node",
    "Pair",
    "PairTally",
    "Pairs",
    "ParameterInfo",
    "PlanEndedError",
    "PlayOptions",
    "PlayedPlan",
    "Progress",
    "RemoteInstrument",
    "RemoteModule",
    "RemoteParameter",
    "Site",
    "keep",
    "mean_fidelity",
    "opening_facts",
    "pairs_document",
    "play_pairs",
    "progress_line",
    "reached",
    "read_document",
    "take_notes",
    "try_report",
    "write_report",
]
