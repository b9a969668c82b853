"""What a physicist runs: (lab, options) -> result."""

from qnode.experiments._estimates import BellEstimate, Pair, bell_estimates, mean_fidelity
from qnode.experiments.heralding import HeraldingOptions, HeraldingResult, PlanEndedError, Progress, run_heralding

__all__ = [
    "BellEstimate",
    "HeraldingOptions",
    "HeraldingResult",
    "Pair",
    "PlanEndedError",
    "Progress",
    "bell_estimates",
    "mean_fidelity",
    "run_heralding",
]
