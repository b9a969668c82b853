"""A lab from outside: calls to its daemons over the bus, and entangled pairs from its links."""

from qnode.client._connection import OPERATOR, LabConnection
from qnode.client._document import pairs_document
from qnode.client._pair import Pair
from qnode.client._pairs import Pairs, PlayedPlan
from qnode.client._playing import DrawBases, PlanEndedError, PlayOptions, Progress, play_pairs, progress_line
from qnode.client._tally import BellEstimate, PairTally, mean_fidelity

__all__ = [
    "OPERATOR",
    "BellEstimate",
    "DrawBases",
    "LabConnection",
    "Pair",
    "PairTally",
    "Pairs",
    "PlanEndedError",
    "PlayOptions",
    "PlayedPlan",
    "Progress",
    "mean_fidelity",
    "pairs_document",
    "play_pairs",
    "progress_line",
]
