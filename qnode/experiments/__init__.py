"""What a physicist runs: (lab, options) -> result."""

from qnode.experiments.heralding import HeraldingOptions, HeraldingResult, Progress, run_heralding

__all__ = ["HeraldingOptions", "HeraldingResult", "Progress", "run_heralding"]
