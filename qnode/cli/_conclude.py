"""The end of every `qnode run`: what came out is written down, then shown, and the exit code says how it went."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from qnode.cli._exit import say
from qnode.client import Pairs, keep
from qnode.runs import DataFolderError, RunFolder

__all__ = ["conclude"]


def conclude(
    run: RunFolder, pairs: Pairs, document: dict[str, Any], show: Callable[[Console], None], *, as_json: bool
) -> int:
    """Keep and show the result of a run; 0 when it was done, 1 when it ended early.

    Args:
        run: its folder.
        pairs: its pairs.
        document: its result, plain values.
        show: prints the result for a person.
        as_json: the document on stdout in place of that.

    Raises:
        DataFolderError: the result could not be written; it was shown all the same.
    """
    report, unwritten = None, None
    try:
        report = keep(run, pairs, document, lambda line: say(f"qnode: {line}"))
    except DataFolderError as error:
        unwritten = error  # a full disk must not cost the person the result too
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        console = Console()
        show(console)
        console.print(f"run {run.run_id}, in {run.path}", soft_wrap=True)
        if report is not None:
            console.print(f"report in {report}", soft_wrap=True)
    if pairs.ended != "done":
        say(f"qnode: the run ended early: {pairs.ended}")
        return 1
    if unwritten is not None:
        raise unwritten
    return 0
