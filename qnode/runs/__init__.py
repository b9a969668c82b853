"""Runs: what a run leaves on disk. `Journal` is the append-only record file that survives kill -9."""

from qnode.runs._journal import Journal, JournalError, Record
from qnode.runs._log import log_event, merged_log, open_log

__all__ = ["Journal", "JournalError", "Record", "log_event", "merged_log", "open_log"]
