import struct

import numpy as np
import pytest

from simulators.instruments.swabian._steps import MAX_STEPS, OutputState, decode_pulses


def test_words_become_volts_and_ticks_picoseconds():
    steps = decode_pulses(struct.pack("<IBhhIBhh", 3, 0x81, 0x7FFF, -0x7FFF, 0xFFFFFFFF, 0, 0, 1))
    assert steps.duration_ps.tolist() == [3_000, 4_294_967_295_000]
    assert steps.digital.tolist() == [0x81, 0]
    assert steps.analog_v.tolist() == [[1.0, -1.0], [0.0, 1 / 32767]]


def test_steps_of_no_duration_are_left_out():
    steps = decode_pulses(struct.pack("<IBhhIBhh", 0, 0xAA, 5, 5, 7, 1, 0, 0))
    assert steps.duration_ps.tolist() == [7_000]
    assert steps.digital.tolist() == [1]


def test_steps_are_immutable():
    steps = decode_pulses(struct.pack("<IBhh", 1, 1, 1, 1))
    for array in (steps.duration_ps, steps.digital, steps.analog_v):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_piece_of_a_step_and_too_many_are_refused():
    with pytest.raises(ValueError, match="no multiple of 9"):
        decode_pulses(b"12345678")
    with pytest.raises(ValueError, match="the memory holds 2000000"):
        decode_pulses(np.zeros(9 * (MAX_STEPS + 1), np.uint8).tobytes())


def test_output_state():
    assert OutputState.from_wire(5, -0x7FFF, 0) == OutputState(5, (-1.0, 0.0))
