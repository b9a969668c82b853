"""The version of qnode, for whoever must not import the package's front."""

__version__ = "0.1.0"
