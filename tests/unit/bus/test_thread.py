"""A loop in a thread: results, errors, time-outs, Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from qnode.bus import LoopThread
from qnode.errors import MisuseError, NetworkError


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    made = LoopThread("the loop")
    yield made
    made.close()


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


class Held:
    """Work that never ends by itself, and says how it was ended."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cleaned = threading.Event()

    async def __call__(self) -> None:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            self.cleaned.set()


def test_what_comes_of_the_work_comes_back(loop):
    assert loop.run(answer(7), 5) == 7

    async def refuse() -> None:
        raise MisuseError("not like this", hint="do it otherwise")

    with pytest.raises(MisuseError, match="not like this - do it otherwise"):
        loop.run(refuse(), 5)


def test_it_runs_in_a_thread_of_its_own_also_from_within_a_running_loop(loop):
    async def where() -> int:
        return threading.get_ident()

    async def inside() -> int:
        return loop.run(where(), 5)

    assert asyncio.run(inside()) == loop.run(where(), 5) != threading.get_ident()


def test_threads_wait_for_their_own_work_only(loop):
    held, answers, ends = Held(), [], []

    def wait() -> None:
        try:
            loop.run(held(), 20)
        except NetworkError as error:
            ends.append(error.message)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert held.begun.wait(5)
    others = [threading.Thread(target=lambda n=n: answers.append(loop.run(answer(n), 5))) for n in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join(10)
    assert sorted(answers) == list(range(8))
    loop.close()
    waiting.join(10)
    assert ends == ["the loop was closed meanwhile"]


def test_work_that_takes_too_long_is_cancelled_and_cleans_up_before_the_error(loop):
    held = Held()
    with pytest.raises(NetworkError, match=r"the loop: not done within 1 s - ask again with a longer timeout_s"):
        loop.run(held(), 1.0)
    assert held.cleaned.is_set()
    assert loop.run(answer(1), 5) == 1


def test_a_time_out_of_the_work_itself_is_its_own(loop):
    async def late() -> None:
        raise TimeoutError("the laser was late")

    with pytest.raises(TimeoutError, match="the laser was late"):
        loop.run(late(), 5)


def test_ctrl_c_cancels_the_work_and_waits_until_it_has_cleaned_up(loop):
    held, main = Held(), threading.get_ident()

    def press() -> None:
        held.begun.wait(10)
        signal.pthread_kill(main, signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        loop.run(held(), 20)
    pressing.join(10)
    assert held.cleaned.is_set()
    assert loop.run(answer(2), 5) == 2


def test_ctrl_c_waits_no_longer_than_the_grace_for_work_that_does_not_end(loop):
    main, begun, free = threading.get_ident(), threading.Event(), threading.Event()

    async def stubborn() -> None:
        begun.set()
        while not free.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    def press() -> None:
        begun.wait(10)
        signal.pthread_kill(main, signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        loop.run(stubborn(), 20, grace_s=0.1)
    pressing.join(10)
    assert loop.run(answer(3), 5) == 3
    free.set()


def test_nothing_runs_after_close(loop):
    loop.close()
    loop.close()
    assert loop.closed
    with pytest.raises(NetworkError, match="the loop is closed - make a new one"):
        loop.run(answer(1), 5)


def test_something_may_be_done_meanwhile_in_the_thread_that_waits(loop):
    go, threads = threading.Event(), []

    async def until_told() -> str:
        while not go.is_set():
            await asyncio.sleep(0.01)
        return "told"

    def meanwhile() -> None:
        threads.append(threading.get_ident())
        if len(threads) == 2:
            go.set()

    assert loop.run(until_told(), 20, meanwhile=meanwhile) == "told"
    assert set(threads) == {threading.get_ident()}
    assert len(threads) >= 3, "and once at the end"
