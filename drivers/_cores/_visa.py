"""The guarded line of drivers that stand on a VISA driver of QCoDeS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from pyvisa.errors import VisaIOError
from qcodes.instrument import VisaInstrument

from drivers._cores._faults import fault
from qnode.errors import InstrumentError

__all__ = ["GuardedVisa"]

MOST_QUOTED = 60
"""Characters of a command that an error quotes: some carry a whole waveform."""

T = TypeVar("T")


class GuardedVisa(VisaInstrument):
    """Errors in words, and a fresh connection after a failure, so that a late answer is never read as the next one.

    Stands before the QCoDeS driver among the bases: ``class Source(GuardedVisa, QcodesSource)``. A driver gives its
    ``model`` and, in `_set_up`, what it does once it is connected.

    Args:
        name: name in the lab file.
        address: VISA resource, as ``TCPIP0::192.168.1.60::5025::SOCKET``.
        **kwargs: passed on to the QCoDeS driver; ``visalib`` is ``@py`` unless given.

    Raises:
        InstrumentError: no answer, or `_set_up` refuses; the connection is closed and the name free again.
    """

    model: ClassVar[str]
    """Maker's name of the model, for errors."""

    def __init__(self, name: str, address: str, **kwargs: Any) -> None:
        kwargs.setdefault("visalib", "@py")
        self._resource = address
        self._visalib: str | None = kwargs["visalib"]
        self._stale = False
        try:
            super().__init__(name, address, **kwargs)
            self._set_up()
        except InstrumentError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise fault(
                name, self.model, address, f"can't connect: {error}", hint="check power, network cable and address"
            ) from error

    def connect_message(self, idn_param: str = "IDN", begin_time: float | None = None) -> None:
        """Greet in the log; QCoDeS prints, but stdout belongs to the program that uses us."""
        self.log.info("connected to %s", self._resource)

    def write_raw(self, cmd: str) -> None:
        """Send one line.

        Raises:
            InstrumentError: it is not taken in time.
        """
        self._guarded(cmd, lambda: super(GuardedVisa, self).write_raw(cmd))

    def ask_raw(self, cmd: str) -> str:
        """Send one line and read one.

        Raises:
            InstrumentError: no answer in time. The next call opens the connection anew, so that a late answer is
                never read as the next one.
        """
        return self._guarded(cmd, lambda: super(GuardedVisa, self).ask_raw(cmd))

    def _set_up(self) -> None:
        """Ask who is there, and set what must be so before anything else."""
        raise NotImplementedError

    def _guarded(self, asked: str, call: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            if self._stale:
                self._reopen()
            return call()
        # pyvisa-py raises a plain Exception when it can't connect.
        except Exception as error:
            self._stale = True
            waited_s = time.monotonic() - started
            silent = isinstance(error, VisaIOError) and "TMO" in error.abbreviation
            short = asked if len(asked) <= MOST_QUOTED else f"{asked[: MOST_QUOTED - 3]}..."
            raise self._fault(
                f"no answer to {short!r} within {waited_s:.1f} s" if silent else f"{short!r} failed: {error}",
                hint="check power and network cable; the next call connects anew",
                asked=short,
                waited_s=waited_s,
            ) from error

    def _reopen(self) -> None:
        timeout_s = self.timeout.cache.get(get_if_invalid=False)
        self.set_address(self._resource, self._visalib)
        self.set_terminator(self.default_terminator)
        self.timeout.set(timeout_s)
        self._stale = False

    def _fault(self, what: str, *, hint: str, **context: object) -> InstrumentError:
        return fault(self.name, self.model, self._resource, what, hint=hint, **context)
