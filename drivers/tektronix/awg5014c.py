"""Tektronix AWG5014C in sequence mode, on top of the QCoDeS driver of the AWG5014.

QCoDeS brings the parameters; this driver adds the role `drivers.roles.Awg`: waveforms as integer words, the sequence
table with event jumps, reading back, and errors in words. Commands are those of the AWG5000 programmer manual, as
QCoDeS and tm_devices use them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from qcodes.instrument_drivers.tektronix import TektronixAWG5014
from qcodes.parameters import DelegateParameter

from drivers._cores import GuardedVisa
from drivers.roles import (
    AwgChannelSettings,
    AwgElement,
    AwgLimits,
    AwgProgram,
    AwgWaveform,
    ChannelLimits,
    EventInput,
    Identity,
    TriggerInput,
)
from drivers.tektronix._checks import broken_limits
from drivers.tektronix._table import batches, element_commands, element_from_answers, element_questions
from qnode.errors import InstrumentError, MisuseError

__all__ = ["TektronixAWG5014C"]

_PREFIX = "qn_"
"""Of our waveforms on the instrument: what bears it may be deleted, all else belongs to somebody."""
_LOAD_TIMEOUT_S = 120.0
_RUN_TIMEOUT_S = 10.0
_POLL_S = 0.02
_MOST_ERRORS = 50
_STATES: Mapping[str, Literal["stopped", "waiting_for_trigger", "running"]] = {
    "0": "stopped",
    "1": "waiting_for_trigger",
    "2": "running",
}


class TektronixAWG5014C(GuardedVisa, TektronixAWG5014):
    """AWG5014C: four channels with two markers each, 1 GS/s, a table whose lines may jump on an event.

    One event input gives one jump target a line. ``EVEN:JTIM SYNC`` is taken to mean "at the end of the waveform that
    plays" and ``ASYN`` "at once". That is not verified on hardware: a manual quoted in tm_devices says the opposite.
    Do the bench test in ``docs/how-to/bench-awg-jump.md`` before the first entanglement run on a rack.

    Waveforms bear the names of the program behind ``qn_``. One that is there already with the same content stays,
    those no longer used are deleted, foreign ones are left alone. `load` leaves the impedance of the event input as
    it is (`event_impedance`): it depends on how the line fans out. Not thread-safe: one thread owns it.

    Args:
        name: name in the lab file.
        address: VISA resource, as ``TCPIP0::192.168.1.40::4000::SOCKET``.
        **kwargs: passed on to the QCoDeS driver; ``visalib`` is ``@py`` unless given.

    Raises:
        InstrumentError: no answer, or another model.

    Example:
        ``awg = TektronixAWG5014C("awg", "TCPIP0::192.168.1.40::4000::SOCKET"); awg.load(program); awg.run()``
    """

    model = "Tektronix AWG5014C"
    default_terminator = "\n"
    default_timeout = 10

    limits: AwgLimits = AwgLimits(
        # 1.2 GS/s would be possible, but 833.33 ps is no whole number of ps.
        sample_rate_hz=1_000_000_000,
        channels=4,
        markers_per_channel=2,
        # Amplitude: validators of the QCoDeS driver. 14 bits: the integer format of the manual.
        analog=ChannelLimits(minimum_vpp=0.02, maximum_vpp=4.5, dac_bits=14),
        minimum_waveform_samples=250,  # not verified: shorter ones fall to the software sequencer; `run` asks TYPE?
        maximum_elements=8000,  # QCoDeS: validator of sequence_length
        maximum_loop_count=65536,  # QCoDeS: docstring of set_sqel_loopcnt
        event_to_output_ps=1_304_000,  # not verified: about 1024 samples + 280 ns
    )

    def __init__(self, name: str, address: str, **kwargs: Any) -> None:
        self._uploaded: dict[str, str] = {}
        self._channels: tuple[int, ...] = ()
        super().__init__(name, address, **kwargs)

    # --- role ------------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask ``*IDN?``; see `drivers.roles.RoleInstrument`."""
        text = self.ask("*IDN?")
        fields = [field.strip() for field in text.split(",")]
        if len(fields) < 4 or not fields[1].upper().startswith("AWG5014"):
            raise self._fault(f"another device answers *IDN?: {text!r}", hint="give the address of the AWG5014C")
        return Identity(*fields[:4])

    def reference_locked(self) -> bool:
        """Whether the external 10 MHz is the selected reference; it has no question for its lock."""
        return self.ask(":SOUR1:ROSC:SOUR?").strip().upper().startswith("EXT")

    def load(self, program: AwgProgram) -> None:
        """Upload what is not there yet, and the table; see `drivers.roles.Awg`.

        Raises:
            InstrumentError: refused, a limit of the model is broken, or the error queue is not empty afterwards.
        """
        if broken := broken_limits(program, self.limits):
            more = f" (and {len(broken) - 3} more)" if len(broken) > 3 else ""
            raise self._fault(
                f"program refused before upload: {'; '.join(broken[:3])}{more}",
                hint="change the sequence",
                broken=broken,
            )
        self._channels = ()
        self._send(["*CLS", ":AWGC:STOP", *self._outputs(0), ":SEQ:LENG 0"])
        on_instrument = self._our_waveforms()
        for waveform in program.waveforms.values():
            self._upload(waveform, on_instrument)
        self._send([*_settings(program, self.limits.sample_rate_hz), f":SEQ:LENG {len(program.elements)}"])
        self._send(
            command
            for line, element in enumerate(program.elements, start=1)
            for command in element_commands(line, element, _PREFIX)
        )
        self._send([":AWGC:RMOD SEQ"])
        for name in sorted(on_instrument - program.waveforms.keys()):
            self._delete(name)
        with self.timeout.set_to(_LOAD_TIMEOUT_S):
            self.ask("*OPC?")
        self._refuse_errors("load")
        self._channels = tuple(sorted(program.channels))

    def read_back(self) -> AwgProgram:
        """Ask for waveforms, table and settings; see `drivers.roles.Awg`.

        Only our waveforms are in it. Channels are those of the last `load`; in a new session those that the table
        uses.

        Raises:
            InstrumentError: the table holds what `load` never makes, as after a hand at the front panel.
        """
        elements = self._read_table()
        used = {channel for element in elements for channel in element.waveforms}
        channels = self._channels or tuple(sorted(used))
        return AwgProgram(
            waveforms={name: AwgWaveform(name, self._read_words(name)) for name in sorted(self._our_waveforms())},
            elements=elements,
            channels={channel: self._read_channel(channel) for channel in channels},
            trigger=TriggerInput(level_v=_volts(self.ask(":TRIG:LEV?"))),
            event=EventInput(
                level_v=_volts(self.ask(":EVEN:LEV?")),
                timing="synchronous" if self.ask(":EVEN:JTIM?").strip().upper() == "SYNC" else "asynchronous",
            ),
        )

    def run(self) -> None:  # type: ignore[override]  # QCoDeS returns the state; the role asks for it
        """Outputs on, and play from line 1; see `drivers.roles.Awg`.

        Raises:
            InstrumentError: it does not get there, or would play by the software sequencer; it is stopped then.
            MisuseError: nothing was loaded in this session.
        """
        if not self._channels:
            raise MisuseError(f"{self.name}: run() before load()", hint="call load() first")
        self._send([*(f":OUTP{channel} 1" for channel in self._channels), ":AWGC:RUN"])
        try:
            self._await_states("waiting_for_trigger", "running")
            if (sequencer := self.ask(":AWGC:SEQ:TYPE?").strip().upper()) != "HARD":
                raise self._fault(
                    f"would play by the {sequencer} sequencer, with gaps of milliseconds",
                    hint=f"waveforms need at least {self.limits.minimum_waveform_samples} samples",
                )
            self._refuse_errors("run")
        except InstrumentError:
            self._send([":AWGC:STOP", *self._outputs(0)])
            raise

    def get_state(self) -> Literal["stopped", "waiting_for_trigger", "running"]:  # type: ignore[override]
        """What it is doing now; also the parameter ``state``, in the words of the role and not of QCoDeS."""
        answer = self.ask(":AWGC:RSTATE?").strip()
        if answer not in _STATES:
            raise self._fault(f"AWGC:RSTATE? answers {answer!r}", hint="0, 1 or 2 is expected: check its firmware")
        return _STATES[answer]

    def stop(self) -> None:
        """Stop playing and switch the outputs off."""
        self._send([":AWGC:STOP", *self._outputs(0)])
        self._await_states("stopped")

    def enter_safe_state(self) -> None:
        """Stopped, all four outputs off, DC outputs off; works in any state."""
        self._send([":AWGC:STOP", *self._outputs(0), ":AWGC:DC:STAT 0"])
        self._await_states("stopped")

    # --- line ------------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self._add_short_names()
        self.identify()
        if not self.reference_locked():
            self.write(":SOUR1:ROSC:SOUR EXT")

    def _send(self, commands: Any) -> None:
        for message in batches(commands):
            self.write(message)

    def _ask_all(self, questions: list[str]) -> list[str]:
        answers: list[str] = []
        for message in batches(questions):
            count = message.count("?")
            got = self.ask(message).strip("\r\n").split(";")
            if len(got) != count:
                self._stale = True
                raise self._fault(
                    f"{len(got)} answers to {count} questions from {message[:40]!r} on",
                    hint="check its firmware: it must answer joined questions in one line",
                )
            answers += got
        return answers

    def _refuse_errors(self, where: str) -> None:
        texts: list[str] = []
        while len(texts) < _MOST_ERRORS:
            code, _, text = self.ask(":SYST:ERR?").partition(",")
            if int(code) == 0:
                break
            texts.append(f"{code} {text.strip()}")
        if texts:
            raise self._fault(
                f"{where} left {len(texts)} errors: {'; '.join(texts)}",
                hint="the programmer manual lists the codes",
                errors=texts,
            )

    def _await_states(self, *wanted: str) -> None:
        deadline = time.monotonic() + _RUN_TIMEOUT_S
        while (state := self.get_state()) not in wanted:
            if time.monotonic() >= deadline:
                raise self._fault(
                    f"{state} instead of {' or '.join(wanted)} after {_RUN_TIMEOUT_S:g} s",
                    hint="look at its screen for a message",
                    waited_s=_RUN_TIMEOUT_S,
                )
            time.sleep(_POLL_S)

    # --- waveforms and table ---------------------------------------------------------------------------------------

    def _our_waveforms(self) -> set[str]:
        size = int(float(self.ask(":WLIS:SIZE?")))
        names = [answer.strip().strip('"') for answer in self._ask_all([f":WLIS:NAME? {i}" for i in range(size)])]
        ours = {name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)}
        self._uploaded = {name: digest for name, digest in self._uploaded.items() if name in ours}
        return ours

    def _upload(self, waveform: AwgWaveform, on_instrument: set[str]) -> None:
        words = waveform.words.astype("<u2")
        digest = hashlib.sha256(words.tobytes()).hexdigest()
        if waveform.name in on_instrument:
            # One of an earlier session may have been cut off in the middle: its name proves nothing.
            if self._uploaded.get(waveform.name) == digest or np.array_equal(self._read_words(waveform.name), words):
                self._uploaded[waveform.name] = digest
                return
            self._delete(waveform.name)
        self.write(f':WLIS:WAV:NEW "{_PREFIX}{waveform.name}",{len(words)},INT')
        length = str(words.nbytes)
        head = f':WLIS:WAV:DATA "{_PREFIX}{waveform.name}",'
        message = f"{head}#{len(length)}{length}".encode() + words.tobytes() + b"\n"
        self._guarded(head, lambda: self.visa_handle.write_raw(message))
        self._uploaded[waveform.name] = digest

    def _delete(self, name: str) -> None:
        self.write(f':WLIS:WAV:DEL "{_PREFIX}{name}"')
        self._uploaded.pop(name, None)

    def _read_words(self, name: str) -> NDArray[np.uint16]:
        question = f':WLIS:WAV:DATA? "{_PREFIX}{name}"'
        words = self._guarded(
            question,
            lambda: self.visa_handle.query_binary_values(question, datatype="H", container=np.ndarray),
        )
        return np.asarray(words, dtype=np.uint16)

    def _read_table(self) -> list[AwgElement]:
        lines = range(1, int(float(self.ask(":SEQ:LENG?"))) + 1)
        channels = range(1, self.limits.channels + 1)
        asked = [question for line in lines for question in element_questions(line, channels)]
        answers = self._ask_all(asked)
        width = len(asked) // len(lines) if lines else 0
        try:
            return [
                element_from_answers(line, channels, answers[(line - 1) * width : line * width], _PREFIX)
                for line in lines
            ]
        except ValueError as error:
            raise self._fault(f"read back: {error}", hint="load the program again") from error

    def _read_channel(self, channel: int) -> AwgChannelSettings:
        level = f":SOUR{channel}:VOLT:LEV:IMM"
        markers = [f":SOUR{channel}:MARK{marker}:VOLT:LEV:IMM" for marker in (1, 2)]
        questions = [f"{level}:AMPL?", f"{level}:OFFS?"]
        questions += [f"{marker}:{side}?" for marker in markers for side in ("HIGH", "LOW")]
        amplitude, offset, *markers_v = (_volts(answer) for answer in self._ask_all(questions))
        if markers_v[:2] != markers_v[2:]:
            raise self._fault(
                f"read back: the markers of channel {channel} have different levels, {markers_v} V",
                hint="load the program again",
            )
        return AwgChannelSettings(amplitude, offset, *markers_v[:2])

    def _outputs(self, state: int) -> list[str]:
        return [f":OUTP{channel} {state}" for channel in range(1, self.limits.channels + 1)]

    def _add_short_names(self) -> None:
        # QCoDeS answers these names with a deprecation warning; on the rack they are what people type.
        for channel in self.channels:
            for quantity in ("amp", "offset"):
                name = f"ch{channel.channel}_{quantity}"
                # Not add_parameter(): it looks the name up, which is what warns.
                parameter = DelegateParameter(
                    name, source=getattr(channel, quantity), instrument=self, bind_to_instrument=False
                )
                self.parameters[name] = parameter
                setattr(self, name, parameter)


def _settings(program: AwgProgram, sample_rate_hz: int) -> list[str]:
    """Clock, inputs and levels of ``program`` as commands."""
    commands = [
        ":AWGC:CLOC:SOUR INT",
        ":SOUR1:ROSC:SOUR EXT",
        f":SOUR1:FREQ {sample_rate_hz}",
        ":TRIG:SOUR EXT",
        ":TRIG:SLOP POS",
        f":TRIG:LEV {program.trigger.level_v:g}",
        ":AWGC:EVEN:JMOD EJUM",
        ":EVEN:POL POS",
        f":EVEN:LEV {program.event.level_v:g}",
        f":EVEN:JTIM {'SYNC' if program.event.timing == 'synchronous' else 'ASYN'}",
    ]
    for channel, settings in sorted(program.channels.items()):
        level = f":SOUR{channel}:VOLT:LEV:IMM"
        commands += [f"{level}:AMPL {settings.amplitude_vpp:g}", f"{level}:OFFS {settings.offset_v:g}"]
        for marker in (1, 2):
            head = f":SOUR{channel}:MARK{marker}:VOLT:LEV:IMM"
            commands += [f"{head}:HIGH {settings.marker_high_v:g}", f"{head}:LOW {settings.marker_low_v:g}"]
    return commands


def _volts(answer: str) -> float:
    """Value of an answer in V; instruments round on their way, a microvolt is nobody's setting."""
    return round(float(answer), 6)
