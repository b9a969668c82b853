"""Lab time of the simulated world: who bounds it, how fast it may run, who waits for it.

One `Timeline` is shared by the world's thread, which advances it, and the event loop of the sockets, where parties
release, wait and go idle. The rules stand in `qnode.clock`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from qnode.clock import PS_PER_S

__all__ = ["SILENT_PARTY_S", "Party", "Timeline"]

SILENT_PARTY_S = 30.0
"""Wall time for which a party may hold lab time while another waits beyond its bound."""

LONGEST_CATCH_UP_S = 0.1
"""At a finite speed lab time runs at the wall's pace; a pause longer than this is not made up for."""


@dataclass(eq=False)
class Party:
    """Somebody who reads lab time; all times are the world's, without the party's label offset."""

    name: str
    bound_ps: int | None = None
    """Lab time must not pass it; None: idle."""


@dataclass(eq=False)
class _Waiter:
    party: Party | None
    until_ps: int
    wake: Callable[[int], None]


class Timeline:
    """Lab time, thread-safe.

    Args:
        start_ps: lab time at the start, TAI picoseconds.
        speed: lab seconds per wall second, or ``max``.
        silent_party_s: wall time after which a party that holds lab time fails the run.
        wall: monotonic wall time, seconds; tests bring their own.
    """

    def __init__(
        self,
        start_ps: int,
        speed: float | Literal["max"],
        *,
        silent_party_s: float = SILENT_PARTY_S,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self.start_ps = start_ps
        self.speed = speed
        self._now_ps = start_ps
        self._silent_party_s = silent_party_s
        self._wall = wall
        self._anchor = (wall(), start_ps)
        self._stalled_since: float | None = None
        self._parties: list[Party] = []
        self._waiters: list[_Waiter] = []
        self._changed = threading.Condition()
        self._changes = 0
        self._changes_seen = 0
        self.on_failure: Callable[[str], None] = _ignore
        """Called from the world's thread with the text when a silent party fails the run."""

    def now_ps(self) -> int:
        """Lab time now."""
        return self._now_ps

    def join(self, name: str) -> Party:
        """A new party, idle."""
        party = Party(name)
        with self._changed:
            self._parties.append(party)
        return party

    def leave(self, party: Party) -> None:
        """The party is gone and bounds nothing; its waits end silently."""
        with self._changed:
            self._parties = [other for other in self._parties if other is not party]
            self._waiters = [waiter for waiter in self._waiters if waiter.party is not party]
            self._notify()

    def release(self, party: Party, until_ps: int | None) -> None:
        """Set the party's bound; None makes it idle."""
        with self._changed:
            party.bound_ps = until_ps
            self._notify()

    def when(self, until_ps: int, wake: Callable[[int], None], party: Party | None = None) -> None:
        """Call ``wake(now_ps)`` once lab time is there: at once from here, else from the world's thread.

        With a party, it also releases up to there; without, nobody's bound changes (`SimTime.wait_until`).
        """
        with self._changed:
            if party is not None:
                party.bound_ps = until_ps
                self._notify()
            if self._now_ps < until_ps:
                self._waiters.append(_Waiter(party, until_ps, wake))
                return
        wake(self._now_ps)

    def limit_ps(self) -> int:
        """Lab time up to which the world may go now, by bounds and pace; never before now."""
        with self._changed:
            self._changes_seen = self._changes
            return self._limit()

    def running_free(self) -> bool:
        """Whether lab time runs as fast as it can: the speed is ``max`` and somebody has released more of it."""
        with self._changed:
            bound = self._bound()
            return self.speed == "max" and bound is not None and bound > self._now_ps

    def advance(self, now_ps: int) -> None:
        """Lab time has come to ``now_ps``: wake who waited for it; fail the run when a silent party holds it."""
        with self._changed:
            self._now_ps = max(self._now_ps, now_ps)
            due = [waiter for waiter in self._waiters if waiter.until_ps <= self._now_ps]
            if due:
                self._waiters = [waiter for waiter in self._waiters if waiter.until_ps > self._now_ps]
            failure = self._silent()
        for waiter in due:
            waiter.wake(self._now_ps)
        if failure:
            self.on_failure(failure)

    def wait_for_change(self, timeout_s: float) -> None:
        """Let the world's thread rest until a bound changes after the last `limit_ps`, at most ``timeout_s``."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes != self._changes_seen, timeout_s)

    def _notify(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def _bound(self) -> int | None:
        return min((party.bound_ps for party in self._parties if party.bound_ps is not None), default=None)

    def _limit(self) -> int:
        bound = self._bound()
        if self.speed == "max" and bound is not None:
            self._anchor = (self._wall(), self._now_ps)
            return max(self._now_ps, bound)
        speed = 1.0 if self.speed == "max" else self.speed
        wall_0, lab_0 = self._anchor
        wall = self._wall()
        paced = lab_0 + int((wall - wall_0) * speed * PS_PER_S)
        if paced - self._now_ps > LONGEST_CATCH_UP_S * speed * PS_PER_S:
            # Bounds or a slow computer held us: go on from here at the pace, without a leap.
            paced = self._now_ps + int(LONGEST_CATCH_UP_S * speed * PS_PER_S)
            self._anchor = (wall, paced)
        limit = paced if bound is None else min(paced, bound)
        return max(self._now_ps, limit)

    def _silent(self) -> str:
        """The text that names who holds lab time for too long, or nothing."""
        bound = self._bound()
        # With rounds played whole, lab time may rest below the bound; what counts is that it does not move on.
        position = self._now_ps
        waits = [waiter for waiter in self._waiters if waiter.party is not None and bound is not None]
        held = bound is not None and any(waiter.until_ps > bound for waiter in waits) and position >= bound
        if not held or bound is None:
            self._stalled_since = None
            return ""
        if self._stalled_since is None:
            self._stalled_since = self._wall()
        waited_s = self._wall() - self._stalled_since
        if waited_s < self._silent_party_s:
            return ""
        self._stalled_since = None
        silent = [party.name for party in self._parties if party.bound_ps is not None and party.bound_ps <= bound]
        waiting = sorted({w.party.name for w in waits if w.party is not None and w.until_ps > bound})
        return (
            f"lab time stands still: {', '.join(silent)} released nothing for {waited_s:.0f} s of wall time "
            f"while {', '.join(waiting)} waits"
        )


def _ignore(text: str) -> None:
    """Nobody listens yet."""
