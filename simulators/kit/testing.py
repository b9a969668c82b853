"""For tests: instruments that run in an event loop of their own, in a thread, and a clock that the test moves.

A client under test (a maker's, or ours) blocks in its own thread, so the simulator needs another one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from simulators.kit._instrument import SimInstrument

__all__ = ["BackgroundLoop", "ManualTime", "running", "wait_for"]

T = TypeVar("T")


class ManualTime:
    """Lab time that stands still until the test moves it (`simulators.kit.SimTime`).

    Args:
        now_ps: TAI picoseconds at the start.
    """

    def __init__(self, now_ps: int = 0) -> None:
        self._now_ps = now_ps
        self._moved = threading.Condition()

    def now_ps(self) -> int:
        """Lab time now, TAI picoseconds."""
        return self._now_ps

    def advance(self, by_ps: int) -> None:
        """Move lab time forward by ``by_ps`` and wake all that wait."""
        with self._moved:
            self._now_ps += by_ps
            self._moved.notify_all()

    async def wait_until(self, until_ps: int) -> None:
        """Return when the test has moved lab time there."""
        while self._now_ps < until_ps:
            await asyncio.to_thread(self._wait_for_a_move, until_ps)

    def _wait_for_a_move(self, until_ps: int) -> None:
        # The short time-out lets a cancelled waiter's thread end by itself.
        with self._moved:
            self._moved.wait_for(lambda: self._now_ps >= until_ps, timeout=0.2)


class BackgroundLoop:
    """An event loop in a daemon thread.

    Args:
        timeout_s: bound of each call into it, and of its end.
    """

    def __init__(self, timeout_s: float = 10.0) -> None:
        self.timeout_s = timeout_s
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="simulators", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` in the loop and return its result.

        Raises:
            TimeoutError: it took longer than ``timeout_s``.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(self.timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what is left, stop the loop and join its thread.

        Raises:
            TimeoutError: the thread did not end within ``timeout_s``.
        """
        self.call(_cancel_all_others())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(self.timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"the simulators' event loop did not stop within {self.timeout_s} s")
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


async def _cancel_all_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def running(*instruments: SimInstrument, timeout_s: float = 10.0) -> Iterator[BackgroundLoop]:
    """Start ``instruments`` in a background loop; stop them, in reverse order, and the loop at the end.

    Yields the loop: ``loop.call(instrument.unplug())`` pulls the plug from the test's thread.

    Raises:
        InstrumentError: an address is taken or not on this machine.
        TimeoutError: start or stop took longer than ``timeout_s``.
    """
    background = BackgroundLoop(timeout_s)
    started: list[SimInstrument] = []
    try:
        for instrument in instruments:
            background.call(instrument.start())
            started.append(instrument)
        yield background
    finally:
        try:
            for instrument in reversed(started):
                background.call(instrument.stop())
        finally:
            background.close()


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Return as soon as ``condition()`` is true; it is looked at every few milliseconds.

    Raises:
        TimeoutError: it never was; the text says ``what`` was waited for.
    """
    never = threading.Event()
    for _ in range(max(1, round(timeout_s / 0.005))):
        if condition():
            return
        never.wait(0.005)
    if not condition():
        raise TimeoutError(f"waited {timeout_s} s for {what}")
