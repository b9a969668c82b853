"""Runs: what a run leaves on disk. `Journal` is the append-only record file that survives kill -9."""

from qnode.runs._columns import read_columns, write_columns
from qnode.runs._errors import DataFolderError, writing
from qnode.runs._folder import RunFolder, find_run, list_runs, write_whole
from qnode.runs._journal import Journal, JournalError, Record
from qnode.runs._log import log_event, merged_log, open_log

__all__ = [
    "DataFolderError",
    "Journal",
    "JournalError",
    "Record",
    "RunFolder",
    "find_run",
    "list_runs",
    "log_event",
    "merged_log",
    "open_log",
    "read_columns",
    "write_columns",
    "write_whole",
    "writing",
]
