"""The guard beside a daemon: makes the instruments of a site safe when the daemon can't do it any more.

It is forked off the daemon before the first thread, when the drivers are loaded: it shares their memory, and needs no
time to load them when it is wanted. Until then it waits on a pipe. The daemon says on it that it owns the
instruments, and that it has given them back; a pipe that ends in between is a daemon that was killed. The daemon
waits on a pipe from the guard in turn, and starts another guard, from a new process, when one is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from qnode.bus import Client, Keyring
from qnode.daemons._endpoints import endpoint_of, lab_keyring, neighbours
from qnode.daemons._host import InstrumentHost, extend_driver_path
from qnode.daemons._ownership import LockedError, Ownership
from qnode.errors import QnodeError
from qnode.labfile import Lab, Site
from qnode.runs import log_event, open_log

__all__ = ["Guard", "GuardError", "guard_process", "load_drivers"]

OWNED, RELEASED, HERE = b"o", b"r", b"h"
"""Words on the pipes: of the daemon, of the daemon, of the guard."""
LOCK_S = 1.0
"""Wall time that a guard waits for the lock of a daemon that is gone: the kernel takes a moment to end it."""
WORK_S = 10.0
"""Wall time for which a guard tries to reach every instrument, unless nobody can be left there; a new daemon waits for
longer than that."""
TRY_AGAIN_S = 0.5
"""Between two tries to reach what did not answer the first time."""
TELL_AFTER_S = 0.5
"""Wall time that the instruments have, from when a neighbour can be told, before it is told though one of them does not
answer."""
TELL_S = 3.0
"""Wall time in which a neighbour must have heard."""
MOST_STARTS = 5
END_S = 5.0
"""Wall time that a guard has for its end once it is told to go."""


class GuardError(QnodeError):
    """A daemon can't keep a guard beside it, and stops safely rather than work without one."""

    code = "guard"


def load_drivers(lab_path: Path, part: Site) -> None:
    """Import QCoDeS and the drivers of a site; one that can't be is told when its instrument is connected."""
    extend_driver_path(lab_path)
    importlib.import_module("qcodes.station")
    for block in part.instruments.values():
        with contextlib.suppress(ImportError):
            importlib.import_module(block.type.rpartition(".")[0])


class Guard:
    """The daemon's side: one guard process at a time.

    Args:
        lab_path: the lab file.
        lab: what is in it.
        site: whose instruments.
        data_folder: locks, keys and logs.
        not_for_it: descriptors that a guard must not hold: whoever waits for their end waits for the daemon.
        peers: for a link over tunnels: site to the address that stands in for the one in the lab file.
    """

    def __init__(
        self,
        lab_path: Path,
        lab: Lab,
        site: str,
        data_folder: Path,
        not_for_it: Sequence[int] = (),
        peers: Mapping[str, str] | None = None,
    ) -> None:
        self._lab_path, self._lab, self._site, self._data_folder = lab_path, lab, site, data_folder
        self._peers = dict(peers or {})
        self._not_for_it = tuple(not_for_it)
        self.pid: int | None = None
        self._words = -1
        """Writing end of the pipe to the guard."""
        self._life = -1
        """Reading end of the pipe from it."""
        self._owns = False
        self._starts = 0
        self._gone: asyncio.Event | None = None

    def fork(self) -> None:
        """Start the first guard, before this process has a loop or a thread."""
        words, life = self._pipes()
        # What is shared from here on is not touched by the collector, and stays shared.
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            for fd in (self._words, self._life, *self._not_for_it):
                os.close(fd)
            guard_process(self._lab, self._site, self._data_folder, words, life, self._peers)
        self._started(pid, words, life)

    async def watch(self) -> None:
        """Keep a guard, as long as this runs.

        Raises:
            GuardError: guards die as fast as they are started.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._gone = asyncio.Event()
            loop.add_reader(self._life, self._heard)
            try:
                await self._gone.wait()
            finally:
                loop.remove_reader(self._life)
            log_event("guard died", site=self._site, guard_pid=self.pid)
            await asyncio.to_thread(self._reap)
            if self._starts >= MOST_STARTS:
                raise GuardError(f"{self._site}: {self._starts} guards in a row have died", hint="see `qnode logs`")
            self._spawn()
            log_event("guard started", site=self._site, guard_pid=self.pid)

    def owns(self) -> None:
        """From now on the instruments are in this process's hands."""
        self._owns = True
        self._say(OWNED)

    async def release(self) -> None:
        """The instruments are safe and given back: the guard may go; returns when it is gone."""
        self._owns = False
        self._say(RELEASED)
        if self.pid is not None:
            await asyncio.to_thread(self._reap)

    # --- details -----------------------------------------------------------------------------------------------

    def _pipes(self) -> tuple[int, int]:
        """Two new pipes; gives the guard's ends."""
        words, self._words = os.pipe()
        self._life, life = os.pipe()
        return words, life

    def _started(self, pid: int, words: int, life: int) -> None:
        os.close(words)
        os.close(life)
        self.pid = pid
        self._starts += 1

    def _spawn(self) -> None:
        """A guard from a new process: this one has threads by now, and must not be forked any more."""
        words, life = self._pipes()
        command = [sys.executable, "-m", "qnode", "guard", str(self._lab_path), self._site]
        command += ["--data", str(self._data_folder), "--words-fd", str(words), "--life-fd", str(life)]
        command += [word for site, address in self._peers.items() for word in ("--via", f"{site}={address}")]
        actions = [(os.POSIX_SPAWN_CLOSE, fd) for fd in self._not_for_it]
        for fd in (words, life):
            os.set_inheritable(fd, True)
        self._started(os.posix_spawn(sys.executable, command, os.environ, file_actions=actions), words, life)
        if self._owns:
            self._say(OWNED)

    def _heard(self) -> None:
        if os.read(self._life, 1):
            # A guard that came up is a good one: only those in a row count.
            self._starts = 1
        elif self._gone is not None:
            self._gone.set()

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._words, word)

    def _reap(self) -> None:
        """Wait for the guard's end; one that does not go is killed."""
        words, life, self._words, self._life = self._words, self._life, -1, -1
        os.close(words)
        os.close(life)
        deadline = time.monotonic() + END_S
        pid, self.pid = self.pid, None
        assert pid is not None
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.01)


def guard_process(
    lab: Lab, site: str, data_folder: Path, words_fd: int, life_fd: int, peers: Mapping[str, str] | None = None
) -> NoReturn:
    """All that a guard's process does, to its end.

    Args:
        lab: the lab.
        site: whose instruments.
        data_folder: locks, keys and logs.
        words_fd: reading end of the pipe from the daemon.
        life_fd: writing end of the pipe to it, held as long as this process lives.
        peers: as those of `Guard`.
    """
    code = 1
    try:
        _guard(lab, site, data_folder, words_fd, life_fd, peers or {})
        code = 0
    except BaseException as error:
        log_event("guard failed", error=repr(error))
    finally:
        # Past all that the process it was forked off would do at its end.
        os._exit(code)


def _guard(lab: Lab, site: str, data_folder: Path, words_fd: int, life_fd: int, peers: Mapping[str, str]) -> None:
    # Ctrl-C and `systemctl stop` reach the whole group; the guard goes when its daemon lets it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text("qnode-guard")
    with contextlib.suppress(OSError):
        os.write(life_fd, HERE)
    owned = False
    while word := os.read(words_fd, 1):
        owned = word == OWNED
    if owned:
        open_log(f"{site}.guard", data_folder)
        asyncio.run(_act(lab, site, data_folder, peers))


async def _act(lab: Lab, site: str, data_folder: Path, peers: Mapping[str, str]) -> None:
    died = time.monotonic()
    log_event("daemon died, instruments in its hands", lost=site)
    lock = Ownership.of_site(data_folder, site, "guard")
    try:
        await lock.take(site, LOCK_S)
    except LockedError as error:
        # A new daemon was faster, and enters the safe states first of all.
        log_event("instruments are in other hands", owner=str(error))
        return
    try:
        asked = asyncio.Event()
        # With the lock in our hands: a daemon that is started anew must not be taken for the one that was killed.
        results = await asyncio.gather(
            _make_safe(InstrumentHost(site, lab.sites[site], data_folder, lab.clocks[site].lab_time), died, asked),
            _tell_neighbours(lab, site, lab_keyring(lab, data_folder), peers, asked),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
    finally:
        lock.give_back()


async def _make_safe(host: InstrumentHost, died: float, asked: asyncio.Event) -> None:
    """Enter all safe states; ``asked`` is set when all instruments have been asked once."""
    left = list(host.site.instruments)
    gone = asyncio.ensure_future(host.simulators_gone())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WORK_S):
            while left:
                left, _ = await host.try_connect(left)
                asked.set()
                if gone.done():
                    left = [name for name in left if not host.site.rack[name].simulated]
                if left:
                    await asyncio.sleep(TRY_AGAIN_S)
    gone.cancel()
    safe = [name for name, health in host.health.items() if health.state in ("ready", "degraded")]
    for name in set(host.health) - set(safe):
        log_event("safe state failed", what=f"{host.site_name}.{name}: {host.health[name].detail or 'no answer'}")
    log_event("made safe", instruments=safe, took_s=round(time.monotonic() - died, 3))
    await host.close()


async def _tell_neighbours(
    lab: Lab, site: str, keyring: Keyring, peers: Mapping[str, str], asked: asyncio.Event
) -> None:
    """Whoever plays a plan with this site hears that nobody is left here to play it."""
    await asyncio.gather(
        *(
            _tell(endpoint_of(lab, other, "command", peers), other, site, keyring, asked)
            for other in neighbours(lab, site)
        )
    )


async def _tell(endpoint: str, other: str, site: str, keyring: Keyring, asked: asyncio.Event) -> None:
    try:
        # The connection is made meanwhile: on a busy computer that takes longer than the safe states.
        async with Client(endpoint, other, site, keyring) as client:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TELL_AFTER_S):
                    await asked.wait()
            await client.call("killed", timeout_s=TELL_S)
    except (QnodeError, OSError) as error:
        log_event("not told that the daemon was killed", neighbour=other, error=str(error))
    else:
        log_event("told that the daemon was killed", neighbour=other)
