"""What a physicist runs: (lab, options) -> result."""

from qnode.experiments.bell import SIGNIFICANCE, BellOptions, BellTest, Loophole, run_bell
from qnode.experiments.heralding import HeraldingOptions, run_heralding

__all__ = [
    "SIGNIFICANCE",
    "BellOptions",
    "BellTest",
    "HeraldingOptions",
    "Loophole",
    "run_bell",
    "run_heralding",
]
