"""What a physicist runs: (lab, options) -> result."""

from qnode.experiments.heralding import HeraldingOptions, run_heralding

__all__ = ["HeraldingOptions", "run_heralding"]
