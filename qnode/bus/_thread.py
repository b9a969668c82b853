"""An event loop in a thread of its own, for fronts that are synchronous: inside a running loop too, from any thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from qnode.errors import NetworkError

__all__ = ["LoopThread"]

_Result = TypeVar("_Result")
_CLOSE_S = 5.0
_MEANWHILE_S = 0.1


class LoopThread:
    """Runs coroutines for threads that wait for them.

    Args:
        name: of the thread; errors name it.

    Example::

        loop = LoopThread("qnode-lab")
        loop.run(client.call("status"), timeout_s=5.0)
        loop.close()
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._closed

    def run(
        self,
        work: Coroutine[Any, Any, _Result],
        timeout_s: float,
        *,
        grace_s: float = 5.0,
        meanwhile: Callable[[], None] | None = None,
    ) -> _Result:
        """Run to the end and give what came of it.

        Args:
            work: what to run.
            timeout_s: wall time for it; then it is cancelled.
            grace_s: wall time for its cancellation, after a time-out or Ctrl-C.
            meanwhile: called some times a second in the thread that waits, and once at the end; what it raises
                cancels the work.

        Raises:
            NetworkError: not done in time, the loop hangs, or it is closed.
            KeyboardInterrupt: Ctrl-C; the work was cancelled and has cleaned up, unless that took too long.
        """
        if self._closed:
            work.close()
            raise NetworkError(f"{self._name} is closed", hint="make a new one")
        outcome: concurrent.futures.Future[_Result] = concurrent.futures.Future()
        tasks: list[asyncio.Task[_Result]] = []

        def begin() -> None:
            task = self._loop.create_task(work)
            tasks.append(task)
            task.add_done_callback(lambda done: _hand_over(done, outcome))

        try:
            # In here, too, Ctrl-C must find the way to the cancellation below.
            self._loop.call_soon_threadsafe(begin)
            self._await(outcome, timeout_s, meanwhile)
            return outcome.result()
        except concurrent.futures.CancelledError:
            raise NetworkError(f"{self._name} was closed meanwhile", hint="close it after the last answer") from None
        finally:
            if not outcome.done():
                self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
                concurrent.futures.wait([outcome], grace_s)

    def close(self) -> None:
        """Cancel what is under way and end the thread; a second close does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(concurrent.futures.TimeoutError):
            asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    def _await(
        self, outcome: concurrent.futures.Future[_Result], timeout_s: float, meanwhile: Callable[[], None] | None
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not outcome.done():
            left = deadline - time.monotonic()
            if left <= 0:
                raise NetworkError(
                    f"{self._name}: not done within {timeout_s:g} s", hint="ask again with a longer timeout_s"
                )
            concurrent.futures.wait([outcome], left if meanwhile is None else min(left, _MEANWHILE_S))
            if meanwhile is not None:
                meanwhile()
        if meanwhile is not None:
            # What came between the last look and the end.
            meanwhile()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=_CLOSE_S / 2)


def _hand_over(done: asyncio.Task[_Result], outcome: concurrent.futures.Future[_Result]) -> None:
    if done.cancelled():
        outcome.cancel()
        outcome.set_running_or_notify_cancel()
    elif (error := done.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())
