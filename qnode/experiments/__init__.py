"""What a physicist runs beyond pairs, which are `qnode.client.play_pairs`: (lab, options) -> result."""

from qnode.experiments.bell import SIGNIFICANCE, BellOptions, BellTest, Loophole, run_bell

__all__ = ["SIGNIFICANCE", "BellOptions", "BellTest", "Loophole", "run_bell"]
