"""Runs: what a run leaves on disk. `Journal` is the append-only record file that survives kill -9."""

from qnode.runs._journal import Journal, JournalError, Record

__all__ = ["Journal", "JournalError", "Record"]
