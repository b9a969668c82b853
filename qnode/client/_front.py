"""What stands between a person's synchronous calls and the connections that live in a loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from qnode.bus import LoopThread, plain
from qnode.client._connection import LabConnection

__all__ = ["CALL_S", "Front"]

Result = TypeVar("Result")

CALL_S = 10.0
"""Wall time for a call unless another is given."""
ANSWER_GRACE_S = 2.0
"""A call's own time-out comes first: it knows better what was waited for."""


class Front:
    """Connections to a lab, and the thread whose loop they live in.

    Args:
        connection: not entered yet.
    """

    def __init__(self, connection: LabConnection) -> None:
        self.connection = connection
        self._loop = LoopThread(f"the connection to lab {connection.lab.lab}")

    def run(
        self,
        work: Coroutine[Any, Any, Result],
        timeout_s: float,
        *,
        grace_s: float = 5.0,
        meanwhile: Callable[[], None] | None = None,
    ) -> Result:
        """Run to the end; see `qnode.bus.LoopThread.run`."""
        return self._loop.run(work, timeout_s, grace_s=grace_s, meanwhile=meanwhile)

    def call(self, site: str, name: str, params: dict[str, Any] | None = None, *, timeout_s: float = CALL_S) -> Any:
        """Call a daemon; parameters may hold numpy's numbers and arrays.

        Raises:
            MisuseError: a parameter can't travel.
            QnodeError: what the daemon raised, or that it does not answer in time.
        """
        return self.run(
            self.connection.call(site, name, plain(params), timeout_s=timeout_s), timeout_s + ANSWER_GRACE_S
        )

    @property
    def closed(self) -> bool:
        """Whether no call can be made any more."""
        return self._loop.closed

    def close(self) -> None:
        """Close the connections and end the thread; a second close does nothing."""
        if not self._loop.closed:
            self.run(self.connection.__aexit__(None, None, None), CALL_S)
            self._loop.close()
