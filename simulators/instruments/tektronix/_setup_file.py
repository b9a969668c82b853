"""Setup files (``.awg``): a chain of records with settings, waveforms and the sequence.

A record is ``<II`` (size of the name with its null, size of the data), name, data. Names, types and values are those
that QCoDeS writes; what it does not write keeps its default when a file is loaded.
"""

from __future__ import annotations

import re
import struct
from typing import Literal

from simulators.instruments.tektronix._state import CHANNELS, MAX_ELEMENTS, Element, Settings
from simulators.instruments.tektronix._waveform import Waveform
from simulators.kit.scpi import ScpiError

__all__ = ["load"]

_MAGIC = 5000
_INDEXED = re.compile(r"(.+?)_(\d+)")
_SEQUENCE_WAVEFORM = re.compile(r"SEQUENCE_WAVEFORM_NAME_CH_(\d)_(\d+)")
_FILTERS_HZ = {1: 20e6, 3: 100e6, 10: float("inf")}
_RUN_MODES: dict[int, Literal["CONT", "TRIG", "GAT", "SEQ"]] = {1: "CONT", 2: "TRIG", 3: "GAT", 4: "SEQ"}


def load(data: bytes) -> Settings:
    """Factory settings with what is in the file.

    Raises:
        ScpiError: it is no such file, or contradicts itself.
    """
    try:
        return _Loader(_records(data)).load()
    except (struct.error, KeyError, ValueError, IndexError) as error:
        raise ScpiError(-250, f"not a setup file: {error}") from error


def _records(data: bytes) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        name_size, data_size = struct.unpack_from("<II", data, at)
        start = at + 8 + name_size
        if name_size < 2 or start + data_size > len(data):
            raise ValueError(f"the record at byte {at} is cut")
        records[data[at + 8 : start - 1].decode("ascii")] = data[start : start + data_size]
        at = start + data_size
    return records


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("ascii")


class _Loader:
    def __init__(self, records: dict[str, bytes]) -> None:
        if self._read(records, "MAGIC", "<h") != _MAGIC:
            raise ValueError(f"MAGIC is not {_MAGIC}")
        self._records = records
        self._settings = Settings()

    @staticmethod
    def _read(records: dict[str, bytes], name: str, layout: str) -> int | float:
        value: int | float = struct.unpack(layout, records[name])[0]
        return value

    def _number(self, name: str, layout: str, default: float) -> float:
        return self._read(self._records, name, layout) if name in self._records else default

    def _is_first(self, name: str, default: bool) -> bool:
        """Of two values, 1 and 2, whether it is the first."""
        return self._number(name, "<h", 1 if default else 2) == 1

    def load(self) -> Settings:
        self._load_head()
        for channel in range(1, CHANNELS + 1):
            self._load_channel(channel)
        self._load_waveforms()
        self._load_sequence()
        return self._settings

    def _load_head(self) -> None:
        settings = self._settings
        settings.sample_rate_hz = self._number("SAMPLING_RATE", "<d", settings.sample_rate_hz)
        settings.internal_clock = self._is_first("CLOCK_SOURCE", True)
        settings.internal_reference = self._is_first("REFERENCE_SOURCE", True)
        settings.external_trigger = self._is_first("TRIGGER_SOURCE", True)
        settings.trigger.impedance_ohm = 50 if self._is_first("TRIGGER_INPUT_IMPEDANCE", False) else 1000
        settings.trigger.rising = self._is_first("TRIGGER_INPUT_SLOPE", True)
        settings.trigger_gate_high = self._is_first("TRIGGER_INPUT_POLARITY", True)
        settings.trigger.level_v = self._number("TRIGGER_INPUT_THRESHOLD", "<d", settings.trigger.level_v)
        settings.event.impedance_ohm = 50 if self._is_first("EVENT_INPUT_IMPEDANCE", False) else 1000
        settings.event.rising = self._is_first("EVENT_INPUT_POLARITY", True)
        settings.event.level_v = self._number("EVENT_INPUT_THRESHOLD", "<d", settings.event.level_v)
        settings.synchronous_jump = self._is_first("JUMP_TIMING", False)
        settings.run_mode = _RUN_MODES[int(self._number("RUN_MODE", "<h", 1))]

    def _load_channel(self, number: int) -> None:
        channel = self._settings.channels[number - 1]
        channel.on = self._number(f"CHANNEL_STATE_{number}", "<h", 0) == 1
        channel.direct = self._number(f"ANALOG_DIRECT_OUTPUT_{number}", "<h", 0) == 1
        channel.filter_hz = _FILTERS_HZ[int(self._number(f"ANALOG_FILTER_{number}", "<h", 10))]
        channel.amplitude_vpp = self._number(f"ANALOG_AMPLITUDE_{number}", "<d", channel.amplitude_vpp)
        channel.offset_v = self._number(f"ANALOG_OFFSET_{number}", "<d", channel.offset_v)
        channel.dc_v = self._number(f"DC_OUTPUT_LEVEL_{number}", "<d", channel.dc_v)
        channel.add_input = self._number(f"EXTERNAL_ADD_{number}", "<h", 0) == 1
        name = self._records.get(f"OUTPUT_WAVEFORM_NAME_{number}")
        channel.waveform = "" if name is None else _text(name)
        for index, marker in enumerate(channel.markers, start=1):
            marker.high_v = self._number(f"MARKER{index}_HIGH_{number}", "<d", marker.high_v)
            marker.low_v = self._number(f"MARKER{index}_LOW_{number}", "<d", marker.low_v)
            marker.delay_s = self._number(f"MARKER{index}_SKEW_{number}", "<d", marker.delay_s)

    def _load_waveforms(self) -> None:
        for name, data in self._records.items():
            found = _INDEXED.fullmatch(name)
            if found is None or found[1] != "WAVEFORM_NAME":
                continue
            index = found[2]
            kind: Literal["INT", "REAL"] = "INT" if self._is_first(f"WAVEFORM_TYPE_{index}", True) else "REAL"
            waveform = Waveform.new(_text(data), kind, self._records[f"WAVEFORM_DATA_{index}"])
            if waveform.points != self._number(f"WAVEFORM_LENGTH_{index}", "<l", -1):
                raise ValueError(f"waveform {waveform.name} has {waveform.points} points, not as many as it says")
            self._settings.waveforms[waveform.name] = waveform

    def _load_sequence(self) -> None:
        lines = [
            int(name.removeprefix("SEQUENCE_WAIT_")) for name in self._records if name.startswith("SEQUENCE_WAIT_")
        ]
        if len(lines) > MAX_ELEMENTS or sorted(lines) != list(range(1, len(lines) + 1)):
            raise ValueError("the lines of the sequence are not numbered from 1")
        self._settings.elements = [self._element(line) for line in range(1, len(lines) + 1)]
        for name, data in self._records.items():
            found = _SEQUENCE_WAVEFORM.fullmatch(name)
            if found is None:
                continue
            if _text(data) not in self._settings.waveforms:
                raise ValueError(f"{name} names {_text(data)!r}, which is not in the file")
            self._settings.elements[int(found[2]) - 1].waveforms[int(found[1]) - 1] = _text(data)

    def _element(self, line: int) -> Element:
        loop = int(self._number(f"SEQUENCE_LOOP_{line}", "<l", 1))
        jump = int(self._number(f"SEQUENCE_JUMP_{line}", "<h", 0))
        go_to = int(self._number(f"SEQUENCE_GOTO_{line}", "<h", 0))
        # [K] A loop of 0 is for ever; a jump of 0 is none, of -1 is to the next line; a goto of 0 goes there too.
        return Element(
            loop_count=loop or 1,
            loop_for_ever=loop == 0,
            wait=self._number(f"SEQUENCE_WAIT_{line}", "<h", 0) == 1,
            go_to_on=go_to > 0,
            go_to=max(1, go_to),
            jump_type="NEXT" if jump < 0 else "IND" if jump > 0 else "OFF",
            jump=max(1, jump),
        )
