"""qnode: a control stack for quantum-network nodes."""

__version__ = "0.1.0"
