"""The pseudo terminal."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path

import pytest

from qnode.errors import InstrumentError
from simulators.kit.pty import PtyPort


def run(body: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(body, 20))


def read_exactly(fd: int, count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += os.read(fd, count - len(got))
    return got


def test_bytes_pass_both_ways_unchanged(tmp_path: Path) -> None:
    async def body() -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        port = PtyPort("box", tmp_path / "a" / "b" / "tty", heard.put_nowait, 1 << 20)
        fd = os.open(tmp_path / "a" / "b" / "tty", os.O_RDWR | os.O_NOCTTY)
        every = bytes(range(256))
        assert port.write(every) == 0
        assert await asyncio.to_thread(read_exactly, fd, 256) == every
        os.write(fd, every)
        got = b""
        while len(got) < 256:
            got += await heard.get()
        assert got == every
        os.close(fd)
        port.close()
        assert not os.path.lexists(tmp_path / "a" / "b" / "tty")

    run(body())


def test_what_finds_no_room_is_dropped_in_whole_units(tmp_path: Path) -> None:
    async def body() -> None:
        port = PtyPort("box", tmp_path / "tty", lambda _data: None, queue_bytes=1_000_003)
        lost = port.write(bytes(1_200_000), unit=4)
        assert lost == 200_000  # the queue took 1 000 000, not 1 000 003
        again = port.write(bytes(4_000_000), unit=4)
        assert again % 4 == 0
        assert again > 2_900_000  # the terminal itself holds little
        port.discard()
        assert port.write(bytes(1_000_000), unit=4) == 0
        port.close()

    run(body())


def test_a_link_that_is_somebody_elses_by_now_stays(tmp_path: Path) -> None:
    async def body() -> None:
        port = PtyPort("box", tmp_path / "tty", lambda _data: None, 100)
        (tmp_path / "tty").unlink()
        (tmp_path / "tty").symlink_to("/dev/null")
        port.close()
        assert (tmp_path / "tty").readlink() == Path("/dev/null")

    run(body())


def test_a_path_that_another_simulator_serves_is_refused_and_its_link_stays(tmp_path: Path) -> None:
    async def body() -> None:
        first = PtyPort("box", tmp_path / "tty", lambda _data: None, 100)
        link = (tmp_path / "tty").readlink()
        # The same folder by another way.
        (tmp_path / "alias").symlink_to(tmp_path)
        for path in (tmp_path / "tty", tmp_path / "alias" / "tty"):
            with pytest.raises(InstrumentError, match=r"box: another simulator serves .*tty - .*stop it"):
                PtyPort("box", path, lambda _data: None, 100)
        assert (tmp_path / "tty").readlink() == link
        PtyPort("box", tmp_path / "tty2", lambda _data: None, 100).close()
        first.close()
        PtyPort("box", tmp_path / "tty", lambda _data: None, 100).close()
        assert not os.path.lexists(tmp_path / "tty")

    run(body())


def test_the_link_of_a_killed_simulator_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tty"
    code = (
        "import asyncio, os, signal, sys; from pathlib import Path; from simulators.kit.pty import PtyPort\n"
        "async def body():\n"
        "    PtyPort('box', Path(sys.argv[1]), print, 100)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(body())\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.is_symlink()  # nobody was left to remove it

    async def body() -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        port = PtyPort("box", path, heard.put_nowait, 100)
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"x")
        assert await heard.get() == b"x"
        os.close(fd)
        port.close()
        assert not os.path.lexists(path)

    run(body())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InstrumentError, match=r"box: .*file/tty"):
            PtyPort("box", tmp_path / "file" / "tty", lambda _data: None, 100)

    run(body())
