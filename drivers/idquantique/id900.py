"""ID Quantique ID900 Time Controller, with the DataLinkTarget service that brings its time stamps.

Settings go to the box itself (ZeroMQ REQ, port 5555, SCPI lines). Stamps don't come from there: a service on a host,
the DataLinkTarget (DLT, REQ, port 6060), fetches them over a private link and streams them from PAIR sockets. The
order of calls is the one of the maker's samples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import zmq
from qcodes.instrument import Instrument

from drivers._cores import fault, idn_of
from drivers.idquantique._request import RequestSocket
from drivers.idquantique._streams import PairStreams
from drivers.roles import Identity, RawTags, RecordingStatus
from qnode.errors import InstrumentError, MisuseError

__all__ = ["ID900"]

_MODEL = "ID Quantique ID900"
_CHANNELS = (1, 2, 3, 4)
_DLT_PORT = 6060
_STREAM_PORT_BASE = 4241
"""Plus the channel: ports of the maker's samples."""


class ID900(Instrument):
    """ID900 Time Controller; role `drivers.roles.TimeController`, format ``idq_u64_ref``.

    Each edge at START opens one sub-acquisition; stamps are in ps, each with the index of its START edge. The DLT
    sends a sub-acquisition when it has ended, so short ones bring tags early; between two it is blind for 40 ns.

    Not verified on hardware: that ``REC:TRIG:LINK STAR`` with arm mode MANUal opens one sub-acquisition an edge for
    all of ``REC:NUM``, and that ``RAWn:REF:LINK STAR`` counts START edges from 0. Record ten rounds of a pulser on
    START and an input, and look at the indices, before the first run.

    The DLT serves this driver alone: `start` and `enter_safe_state` end every stream it has, as the maker's samples
    do, because a killed owner's stream would hold the port. Not thread-safe: one thread owns it.

    Args:
        name: name in the lab file.
        address: of the box, as ``tcp://192.168.1.30:5555``.
        dlt_address: of the DLT; by default port 6060 at the address of the box.
        timeout_s: time-out of one question, and of connecting one stream.
        **kwargs: passed on to `qcodes.instrument.Instrument`.

    Raises:
        InstrumentError: box or DLT don't answer, or another model does.

    Example:
        ``tagger = ID900("tagger", "tcp://192.168.1.30:5555"); tagger.start([1, 2], 1000, 1_400_000_000)``
    """

    def __init__(
        self, name: str, address: str, *, dlt_address: str | None = None, timeout_s: float = 5.0, **kwargs: Any
    ) -> None:
        self._host, _ = _endpoint(name, address)
        self._dlt_host, _ = _endpoint(name, dlt_address or f"tcp://{self._host}:{_DLT_PORT}")
        super().__init__(name, **kwargs)
        self._address = address
        self._timeout_s = timeout_s
        self._context: zmq.Context[Any] = zmq.Context()
        self._scpi = RequestSocket(self._context, address, timeout_s)
        self._dlt = RequestSocket(self._context, dlt_address or f"tcp://{self._dlt_host}:{_DLT_PORT}", timeout_s)
        self._streams = PairStreams(self._context)
        self._ids: dict[int, str] = {}
        self._final: dict[int, dict[str, Any]] = {}
        self._add_parameters()
        try:
            self.identify()
            if not self.reference_locked():
                self._set("DEVI:SYNC EXTERNAL")
        except Exception:
            self.close()
            raise

    # --- role ------------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask ``*IDN?``; see `drivers.roles.RoleInstrument`."""
        text = self.ask_raw("*IDN?")
        fields = [field.strip() for field in text.split(",")]
        if len(fields) < 4 or not re.search(r"ID(900|1000)", text):
            raise self._fault(f"another device answers *IDN?: {text!r}", hint="give the address of the ID900")
        return Identity(*fields[:4])

    def get_idn(self) -> dict[str, str | None]:
        """`identify` in the words of QCoDeS."""
        return idn_of(self.identify())

    def reference_locked(self) -> bool:
        """Whether it synchronises to the external 10 MHz (``DEVI:SYNC?``); it tells no more than that."""
        return self.ask_raw("DEVI:SYNC?").strip().upper().startswith("EXT")

    def start(self, channels: Sequence[int], acquisitions: int, duration_ps: int) -> None:
        """Arm a recording whose sub-acquisitions are opened by START; see `drivers.roles.TimeController`.

        Args:
            channels: inputs to record, from 1 to 4.
            acquisitions: how many sub-acquisitions.
            duration_ps: length of each; 40 ns less than the distance of the edges at most.

        Raises:
            MisuseError: no such channel, or a number below 1.
            InstrumentError: box or DLT refuse or are silent; the recording is off then.
        """
        if not channels or not set(channels) <= set(_CHANNELS) or len(set(channels)) != len(channels):
            raise MisuseError(f"{self.name}: channels {list(channels)}", hint="some of 1, 2, 3, 4, each once")
        if acquisitions < 1 or duration_ps < 1:
            raise MisuseError(
                f"{self.name}: {acquisitions} acquisitions of {duration_ps} ps", hint="both are at least 1"
            )
        self._streams.close()
        self._end_acquisitions()
        try:
            self._configure(acquisitions, duration_ps)
            for channel in channels:
                self._open_stream(channel)
            self._set("REC:PLAY")
        except Exception:
            self._quietly_off()
            raise

    def read(self, timeout_s: float) -> list[RawTags]:
        """All that has come since the last call; see `drivers.roles.TimeController`.

        Args:
            timeout_s: how long to wait for the first message.

        Returns:
            One entry a channel that brought something: its messages joined in order of arrival, each stamp a pair of
            little-endian u64 (index of the sub-acquisition, ps).

        Raises:
            MisuseError: it was not started.
        """
        if not self._ids:
            raise MisuseError(f"{self.name}: read() before start()", hint="call start() first")
        return [
            RawTags("idq_u64_ref", data, channel=channel) for channel, data in self._streams.drain(timeout_s).items()
        ]

    def status(self) -> RecordingStatus:
        """Counts of what the DLT has sent so far; after `stop` those at the end.

        Raises:
            InstrumentError: the DLT reports errors of a stream, that is lost stamps.
        """
        states = dict(self._final)
        for channel, identifier in self._ids.items():
            states[channel] = self._ask_dlt(f"status --id {identifier}")
        self._refuse_losses({channel: state.get("errors", []) for channel, state in states.items()})
        return RecordingStatus(
            acquisitions={channel: int(state.get("acquisitions_count", 0)) for channel, state in states.items()},
            timestamps={channel: int(state.get("timestamps_count", 0)) for channel, state in states.items()},
            recording=self.ask_raw("REC:STAGe?").strip().upper() == "PLAYING",
        )

    def stop(self) -> None:
        """End recording and streams; what was not read is dropped.

        Raises:
            InstrumentError: box or DLT are silent, or one of them counts errors, that is lost stamps. Everything that
                answers is off then all the same.
        """
        ids, self._ids = self._ids, {}
        self._streams.close()
        losses: dict[int, list[Any]] = {}
        silences: list[InstrumentError] = []
        steps: list[Callable[[], None]] = [lambda: self._set("REC:STOP")]
        steps += [partial(self._end_stream, channel, identifier, losses) for channel, identifier in ids.items()]
        for step in steps:
            try:
                step()
            except InstrumentError as error:
                silences.append(error)
        if silences:
            raise silences[0]
        self._refuse_losses(losses)

    def enter_safe_state(self) -> None:
        """End recording and all streams, also a killed owner's; it has no outputs in use."""
        self._ids.clear()
        self._streams.close()
        self._set("REC:STOP")
        for channel in _CHANNELS:
            self._set(f"RAW{channel}:SEND OFF")
        self._end_acquisitions()

    def close(self) -> None:
        """Give the connections back; a recording goes on until the next owner stops it."""
        self._streams.close()
        self._scpi.close()
        self._dlt.close()
        self._context.term()
        super().close()

    # --- details ---------------------------------------------------------------------------------------------------

    def write_raw(self, cmd: str) -> None:
        """Send one setting; the box answers every one, with an empty line when it is taken."""
        self._set(cmd)

    def ask_raw(self, cmd: str) -> str:
        """Ask the box one line.

        Raises:
            InstrumentError: no answer within the time-out.
        """
        try:
            return self._scpi.ask(cmd)
        except (TimeoutError, zmq.ZMQError) as error:
            raise self._fault(
                f"{cmd!r}: {error}",
                hint="check power, network cable and address of the ID900",
                asked=cmd,
                waited_s=self._timeout_s,
            ) from error

    def _add_parameters(self) -> None:
        for channel in _CHANNELS:
            self.add_parameter(
                f"input{channel}_threshold",
                label=f"Threshold of input {channel}",
                unit="V",
                get_cmd=f"INPU{channel}:THRE?",
                set_cmd=f"INPU{channel}:THRE {{:.3f}}",
                get_parser=_number,
                docstring="Discriminator level in V.",
            )
            self.add_parameter(
                f"input{channel}_counts",
                label=f"Counts of input {channel}",
                get_cmd=f"INPU{channel}:COUN?",
                get_parser=lambda text: int(_number(text)),
                docstring="Edges in the last integration time of its counter.",
            )
        self.add_parameter("sync", label="10 MHz source", get_cmd="DEVI:SYNC?", docstring="INTERNAL or EXTERNAL.")
        self.add_parameter("stage", label="Recording", get_cmd="REC:STAGe?", docstring="PLAYING while it records.")

    def _set(self, command: str) -> None:
        if answer := self.ask_raw(command).strip():
            raise self._fault(
                f"{command!r} refused: {answer!r}", hint="check its firmware against the driver", asked=command
            )

    def _ask_dlt(self, command: str) -> Any:
        try:
            answer = json.loads(self._dlt.ask(command))
        except (TimeoutError, zmq.ZMQError) as error:
            raise self._fault(
                f"DataLinkTarget at {self._dlt.endpoint}, {command!r}: {error}",
                hint="start the DataLinkTarget service on that host, or set dlt_address",
                asked=command,
                waited_s=self._timeout_s,
            ) from error
        except ValueError as error:
            raise self._fault(
                f"DataLinkTarget at {self._dlt.endpoint}, {command!r}: the answer is not JSON",
                hint="another program listens there: set dlt_address",
                asked=command,
            ) from error
        if isinstance(answer, dict) and (failure := answer.get("error")):
            description = failure.get("description", failure) if isinstance(failure, dict) else failure
            raise self._fault(
                f"DataLinkTarget at {self._dlt.endpoint} refused {command!r}: {description}",
                hint="read the service's own log",
                asked=command,
            )
        return answer

    def _configure(self, acquisitions: int, duration_ps: int) -> None:
        for command in (
            "REC:TRIG:ARM:MODE MANUal",
            "REC:TRIG:LINK STAR",
            "REC:ENABle ON",
            "REC:STOP",
            f"REC:NUM {acquisitions}",
            f"REC:DURation {duration_ps}",
            "STAR:ENAB ON",
        ):
            self._set(command)
        if (read_back := _number(self.ask_raw("REC:NUMber?"))) != acquisitions:
            raise self._fault(
                f"REC:NUMber? is {read_back:g} after REC:NUM {acquisitions}", hint="another client may be connected"
            )

    def _open_stream(self, channel: int) -> None:
        self._set(f"INPU{channel}:ENAB ON")
        self._set(f"RAW{channel}:REF:LINK STAR")
        self._set(f"RAW{channel}:ERRORS:CLEAR")
        port = _STREAM_PORT_BASE + channel
        answer = self._ask_dlt(
            f"start-stream --address {self._host} --channel {channel} --stream-port {port} --with-ref-index"
        )
        if not isinstance(answer, dict) or "id" not in answer:
            raise self._fault(
                f"DataLinkTarget at {self._dlt.endpoint} gave no id for channel {channel}: {answer!r}",
                hint="check the service's version against the driver",
            )
        self._ids[channel] = str(answer["id"])
        try:
            self._streams.connect(channel, f"tcp://{self._dlt_host}:{port}", self._timeout_s)
        except TimeoutError as error:
            raise self._fault(
                str(error),
                hint=f"open TCP port {port} of the DataLinkTarget's host",
                channel=channel,
                waited_s=self._timeout_s,
            ) from error
        self._set(f"RAW{channel}:SEND ON")

    def _end_stream(self, channel: int, identifier: str, losses: dict[int, list[Any]]) -> None:
        try:
            self._final[channel] = self._ask_dlt(f"stop --id {identifier}").get("status") or {}
        finally:
            self._set(f"RAW{channel}:SEND OFF")
        losses[channel] = list(self._final[channel].get("errors", []))
        if (errors := self.ask_raw(f"RAW{channel}:ERRORS?").strip()) != "0":
            losses[channel].append({"description": f"RAW{channel}:ERRORS? is {errors}"})

    def _end_acquisitions(self) -> None:
        self._ids.clear()
        self._final.clear()
        for identifier in self._ask_dlt("list"):
            self._ask_dlt(f"stop --id {identifier}")

    def _quietly_off(self) -> None:
        try:
            self.enter_safe_state()
        except InstrumentError:
            # The failure that led here is the one to tell.
            self.log.warning("could not end the recording after a failed start", exc_info=True)

    def _refuse_losses(self, errors: dict[int, list[Any]]) -> None:
        texts = [
            f"channel {channel}: {error.get('description', error) if isinstance(error, dict) else error}"
            for channel, of_channel in sorted(errors.items())
            for error in of_channel
        ]
        if texts:
            raise self._fault(
                f"stamps were lost: {'; '.join(texts)}", hint="lower the rate at its inputs, and repeat the recording"
            )

    def _fault(self, what: str, *, hint: str, **context: object) -> InstrumentError:
        return fault(self.name, _MODEL, self._address, what, hint=hint, **context)


def _endpoint(name: str, address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme != "tcp":
        raise MisuseError(f"{name}: address {address!r}", hint="write it as tcp://192.168.1.30:5555")
    return host, port


def _number(text: str) -> float:
    """Value of an answer such as ``100`` or ``200000TB`` (TB: its time base of 1 ps)."""
    return float(text.strip().removesuffix("TB"))
