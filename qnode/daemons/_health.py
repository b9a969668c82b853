"""How an instrument is, in one of five words, and what it is asked to find out."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from drivers.roles import Identity, LaserState

__all__ = ["NO_REFERENCE", "InstrumentHealth", "InstrumentState", "Look", "is_busy", "look_at"]

InstrumentState = Literal["disconnected", "connecting", "ready", "degraded", "locked"]

NO_REFERENCE = "its external 10 MHz reference is not in use"
NO_ANSWER_S = 2.5
"""Wall time after which an instrument that was asked how it is counts as gone, while the driver still waits."""


@dataclass
class InstrumentHealth:
    """What is known of one instrument now. Written in the instrument's thread, read in the loop's."""

    state: InstrumentState = "connecting"
    detail: str = ""
    """Why it is not ready."""
    answered_s: float | None = None
    """Monotonic time of its last answer."""
    asked_s: float | None = None
    """Monotonic time since which it is being asked how it is; None: it is not."""
    doubted: bool = False
    """Something has failed since it was asked."""

    def answered(self) -> None:
        """It has answered something, just now."""
        self.answered_s = time.monotonic()
        self.doubted = False

    def found(self, state: InstrumentState, detail: str = "") -> None:
        """It was looked at."""
        self.state, self.detail = state, detail

    def report(self, identity: Identity | None, own_fault: str) -> dict[str, Any]:
        """For ``status``.

        Args:
            identity: who it said it is, when it was connected.
            own_fault: what its daemon finds wrong in its data; empty: nothing.
        """
        state, detail = self.state, self.detail
        now = time.monotonic()
        if state in ("ready", "degraded") and self.asked_s is not None and now - self.asked_s > NO_ANSWER_S:
            state, detail = "disconnected", f"no answer for {now - self.asked_s:.0f} s"
        elif state == "ready" and own_fault:
            state, detail = "degraded", own_fault
        return {
            "state": state,
            "detail": detail,
            "last_answer_s": None if self.answered_s is None else round(now - self.answered_s, 1),
            "identity": None if identity is None else f"{identity.maker} {identity.model} {identity.serial}",
        }


@dataclass(frozen=True)
class Look:
    """What an instrument said when it was asked how it is."""

    reference_locked: bool
    heads: Mapping[str, LaserState] = field(default_factory=dict)
    """Of a laser."""
    latched: Sequence[int] = ()
    """Of a detector driver."""

    @property
    def fault(self) -> str:
        """What is wrong, in words; empty where nothing is."""
        if not self.reference_locked:
            return NO_REFERENCE
        for head, state in self.heads.items():
            if state.interlock_open:
                return "interlock open"
            if state.key_locked:
                return "key switch off"
            if state.fault:
                return f"{head}: {state.fault}"
        return f"detector {', '.join(map(str, self.latched))} latched" if self.latched else ""


def look_at(instrument: Any, role: str) -> Look:
    """Ask an instrument how it is.

    Raises:
        Exception: whatever its driver raises when it does not answer.
    """
    locked = instrument.reference_locked()
    if role == "laser":
        return Look(locked, heads={head: instrument.head_state(head) for head in instrument.heads})
    if role == "detector_driver":
        return Look(locked, latched=tuple(instrument.latched()))
    return Look(locked)


def is_busy(error: BaseException | None) -> bool:
    """Whether an instrument is there and in somebody else's hands, going by the chain of an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno == errno.EBUSY:
            return True
        error = error.__cause__ or error.__context__
    return False
