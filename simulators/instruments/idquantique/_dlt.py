"""DataLinkTarget: the maker's helper on the host that hands out time stamps, by files or by streams.

Commands in, JSON out, over REQ/REP [S]. The link between it and the Time Controller is not public, and is not needed:
here it is a method call.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from qnode.errors import InstrumentError

__all__ = ["DataLinkTarget", "Stream"]

_FIRST_STREAM_PORT = 4241  # [S] + channel
_FIRST_LINK_PORT = 5555  # [S] an acquisition's id is <address>:<this + channel>


class Stream(Protocol):
    """Where messages go."""

    def send(self, message: bytes | memoryview) -> bool:
        """False: lost."""

    def flush(self) -> None:
        """After a batch."""

    def close(self, *, linger: bool) -> None:
        """No more messages."""


class _RefusedError(Exception):
    """A command that is answered by an error."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _RefusedError(message)


def _parser() -> _Parser:
    parser = _Parser(prog="DataLinkTarget", add_help=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    commands.add_parser("list", add_help=False)
    for name in ("status", "stop"):
        commands.add_parser(name, add_help=False).add_argument("--id", required=True)
    for name in ("start-save", "start-stream"):
        start = commands.add_parser(name, add_help=False)
        start.add_argument("--address", required=True)
        start.add_argument("--channel", required=True, type=int, choices=range(1, 5))
        start.add_argument("--with-ref-index", action="store_true")
        if name == "start-save":
            start.add_argument("--filename", required=True)
            start.add_argument("--format", required=True, choices=("bin", "ascii"))
        else:
            start.add_argument("--stream-port", type=int)
    return parser


class _File:
    """Stamps in a file, in the stream's layout or as text lines ``stamp`` or ``stamp;reference``."""

    def __init__(self, path: Path, columns: int, stamp_column: int | None) -> None:
        self._file: BinaryIO = path.open("wb")
        self._columns = columns
        self._stamp_column = stamp_column

    def send(self, message: bytes | memoryview) -> bool:
        if self._stamp_column is None:
            self._file.write(message)
            return True
        rows = np.frombuffer(message, "<u8").reshape(-1, self._columns)
        order = [self._stamp_column, *(c for c in range(self._columns) if c != self._stamp_column)]
        for row in rows[:, order].tolist():
            self._file.write((";".join(map(str, row)) + "\n").encode())
        return True

    def flush(self) -> None:
        self._file.flush()

    def close(self, *, linger: bool) -> None:
        self._file.close()


class _Acquisition:
    """One channel that is being handed out."""

    def __init__(self, sink: Stream, *, with_reference: bool, reference_first: bool, streams: bool) -> None:
        self._sink = sink
        self._with_reference = with_reference
        self._reference_first = reference_first
        self._streams = streams
        self._ended = False
        self._last = time.monotonic()
        self.acquisitions = 0
        self.timestamps = 0
        self.lost = 0

    def add(
        self, count: int, stamps: NDArray[np.uint64], of: NDArray[np.int64], reference: NDArray[np.uint64]
    ) -> int:
        """Hand out ``count`` finished sub-acquisitions; returns the number of lost messages."""
        self.acquisitions += count
        self._last = time.monotonic()
        self._ended = False
        if not stamps.size:
            return 0
        columns = (reference, stamps) if self._reference_first else (stamps, reference)
        table = np.column_stack(columns) if self._with_reference else stamps
        width = 16 if self._with_reference else 8
        data = memoryview(np.ascontiguousarray(table, "<u8").tobytes())
        cuts = [0, *(np.flatnonzero(np.diff(of)) + 1).tolist(), stamps.size]
        lost = 0
        for begin, end in pairwise(cuts):
            if self._sink.send(data[begin * width : end * width]):
                self.timestamps += end - begin
            else:
                lost += 1
        self._sink.flush()
        self.lost += lost
        return lost

    def end(self) -> None:
        """The recording is over: an empty message says so, once [K]."""
        if self._streams and not self._ended:
            self._sink.send(b"")
            self._sink.flush()
        self._ended = True

    def close(self, *, linger: bool) -> None:
        if linger:
            self.end()
        self._sink.close(linger=linger)

    def status(self) -> dict[str, object]:
        """As the maker's helper answers [S]."""
        errors = [{"description": f"{self.lost} messages lost: the client does not read"}] if self.lost else []
        return {
            "acquisitions_count": self.acquisitions,
            "timestamps_count": self.timestamps,
            "inactivity": round(time.monotonic() - self._last, 3),
            "errors": errors,
        }


class DataLinkTarget:
    """The helper of one Time Controller.

    Args:
        address: of the Time Controller, an IP; others are refused.
        open_stream: makes a stream on a port.
        folder: where files with a relative name go.
        reference_first: order inside the pairs of ``--with-ref-index``.
    """

    def __init__(
        self, address: str, open_stream: Callable[[int], Stream], folder: Path, *, reference_first: bool
    ) -> None:
        self._address = address
        self._open_stream = open_stream
        self._folder = folder
        self._reference_first = reference_first
        self._parser = _parser()
        self._running: dict[str, _Acquisition] = {}

    def execute(self, line: str) -> str:
        """Obey one command; the answer is JSON."""
        try:
            return json.dumps(self._execute(self._parser.parse_args(shlex.split(line))))
        except (_RefusedError, ValueError) as fault:
            return json.dumps({"error": {"description": str(fault)}})
        except InstrumentError as fault:
            return json.dumps({"error": {"description": fault.message}})
        except OSError as fault:
            return json.dumps({"error": {"description": f"{fault.filename}: {fault.strerror}"}})

    def add(
        self,
        channel: int,
        count: int,
        stamps: NDArray[np.uint64],
        of: NDArray[np.int64],
        reference: NDArray[np.uint64],
    ) -> int:
        """Hand out finished sub-acquisitions of a channel; returns the number of lost messages.

        Args:
            channel: 1 to 4.
            count: sub-acquisitions that are over, also those without a stamp.
            stamps: shape (n,), in order.
            of: shape (n,), the sub-acquisition of each stamp.
            reference: shape (n,), for ``--with-ref-index``.
        """
        acquisition = self._running.get(self._id(channel))
        return acquisition.add(count, stamps, of, reference) if acquisition is not None else 0

    def end(self) -> None:
        """The recording is over."""
        for acquisition in self._running.values():
            acquisition.end()

    def close(self) -> None:
        """Mains off."""
        for acquisition in self._running.values():
            acquisition.close(linger=False)
        self._running.clear()

    def _id(self, channel: int) -> str:
        return f"{self._address}:{_FIRST_LINK_PORT + channel}"

    def _execute(self, wanted: argparse.Namespace) -> object:
        if wanted.command == "list":
            return list(self._running)
        if wanted.command == "status":
            return self._get(wanted.id).status()
        if wanted.command == "stop":
            acquisition = self._get(wanted.id)
            del self._running[wanted.id]
            acquisition.close(linger=True)
            return {"status": acquisition.status()}
        return self._start(wanted)

    def _get(self, name: str) -> _Acquisition:
        try:
            return self._running[name]
        except KeyError:
            raise _RefusedError(f"no acquisition with the id {name}") from None

    def _start(self, wanted: argparse.Namespace) -> dict[str, str]:
        if wanted.address != self._address:
            raise _RefusedError(f"no Time Controller answers at {wanted.address}")
        name = self._id(wanted.channel)
        if name in self._running:
            raise _RefusedError(f"channel {wanted.channel} is acquired already, by {name}")
        columns = 2 if wanted.with_ref_index else 1
        streams = wanted.command == "start-stream"
        sink: Stream
        if streams:
            sink = self._open_stream(wanted.stream_port or _FIRST_STREAM_PORT + wanted.channel)
        else:
            stamp_column = 1 if columns == 2 and self._reference_first else 0
            path = self._folder / wanted.filename
            sink = _File(path, columns, stamp_column if wanted.format == "ascii" else None)
        self._running[name] = _Acquisition(
            sink,
            with_reference=wanted.with_ref_index,
            reference_first=self._reference_first,
            streams=streams,
        )
        return {"id": name}
