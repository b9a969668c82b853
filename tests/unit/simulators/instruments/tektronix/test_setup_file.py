import struct

import pytest

from simulators.instruments.tektronix._setup_file import load
from simulators.kit.scpi import ScpiError


def record(name: str, data: bytes) -> bytes:
    raw = name.encode() + b"\0"
    return struct.pack("<II", len(raw), len(data)) + raw + data


def short(name: str, value: int) -> bytes:
    return record(name, struct.pack("<h", value))


def waveform(index: int, name: str, points: int, said: int | None = None) -> bytes:
    return (
        record(f"WAVEFORM_NAME_{index}", name.encode() + b"\0")
        + short(f"WAVEFORM_TYPE_{index}", 1)
        + record(f"WAVEFORM_LENGTH_{index}", struct.pack("<l", points if said is None else said))
        + record(f"WAVEFORM_DATA_{index}", bytes(2 * points))
    )


HEAD = short("MAGIC", 5000) + short("VERSION", 1)


def test_head_alone_is_the_factory_setting():
    settings = load(HEAD)
    assert settings.run_mode == "CONT"
    assert settings.elements == []
    assert not any(channel.on for channel in settings.channels)


def test_channels_and_jumps():
    data = HEAD + short("RUN_MODE", 2) + short("CHANNEL_STATE_2", 1) + waveform(21, "w", 3)
    data += record("OUTPUT_WAVEFORM_NAME_2", b"w\0")
    for line, jump in enumerate([0, -1, 1], start=1):
        data += short(f"SEQUENCE_WAIT_{line}", 0) + short(f"SEQUENCE_JUMP_{line}", jump)
    settings = load(data)
    assert settings.run_mode == "TRIG"
    assert [channel.on for channel in settings.channels] == [False, True, False, False]
    assert settings.channels[1].waveform == "w"
    settings.run_mode = "SEQ"
    assert [element.jump_to for element in settings.playback(1, False).elements] == [None, 3, 1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        short("MAGIC", 4999),
        HEAD[:-1],
        HEAD + short("RUN_MODE", 9),
        HEAD + waveform(1, "w", 3, said=4),
        HEAD + short("SEQUENCE_WAIT_2", 0),
        HEAD + short("SEQUENCE_WAIT_1", 0) + record("SEQUENCE_WAVEFORM_NAME_CH_1_1", b"none\0"),
        HEAD + short("SAMPLING_RATE", 1),
        HEAD + short("SEQUENCE_WAIT_x", 0),
    ],
    ids=["empty", "magic", "cut", "mode", "length", "lines", "waveform", "type", "name"],
)
def test_files_that_are_none(data):
    with pytest.raises(ScpiError, match="not a setup file") as caught:
        load(data)
    assert caught.value.code == -250
