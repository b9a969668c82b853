import asyncio
import threading

import pytest

from simulators.kit import SimInstrument
from simulators.kit.testing import BackgroundLoop, ManualTime, running, wait_for


class Recorder(SimInstrument):
    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(name, "127.0.40.1", ManualTime())
        self.log = log

    async def power_up(self) -> None:
        self.log.append(f"{self.name} up in {threading.current_thread().name}")

    async def power_down(self) -> None:
        self.log.append(f"{self.name} down")


def test_running_starts_in_its_own_thread_and_stops_in_reverse_order():
    log: list[str] = []
    with running(Recorder("a", log), Recorder("b", log)):
        assert log == ["a up in simulators", "b up in simulators"]
    assert log[2:] == ["b down", "a down"]
    assert "simulators" not in [thread.name for thread in threading.enumerate()]


def test_what_started_is_stopped_when_a_later_instrument_fails():
    class Broken(Recorder):
        async def power_up(self) -> None:
            raise OSError("taken")

    log: list[str] = []
    with pytest.raises(OSError, match="taken"), running(Recorder("a", log), Broken("b", log)):
        pytest.fail("the body ran although an instrument did not start")
    assert log == ["a up in simulators", "a down"]


def test_a_call_into_the_loop_has_a_time_limit():
    background = BackgroundLoop(timeout_s=0.05)
    try:
        with pytest.raises(TimeoutError):
            background.call(asyncio.Event().wait())
    finally:
        background.timeout_s = 10.0
        background.close()


def test_manual_time_wakes_a_waiter_only_when_it_is_there():
    time = ManualTime(100)
    reached: list[int] = []

    async def waiter() -> None:
        await time.wait_until(150)
        reached.append(time.now_ps())

    background = BackgroundLoop()
    try:
        future = asyncio.run_coroutine_threadsafe(waiter(), background.loop)
        time.advance(49)
        assert not future.done()
        time.advance(1)
        future.result(5.0)
    finally:
        background.close()
    assert reached == [150]


def test_wait_for_says_what_it_waited_for():
    with pytest.raises(TimeoutError, match="the moon"):
        wait_for(lambda: False, "the moon", timeout_s=0.01)
