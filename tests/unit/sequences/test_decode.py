from __future__ import annotations

import numpy as np
import pytest

from drivers.roles import AwgChannelSettings, AwgElement, AwgProgram, AwgWaveform, PulseProgram
from sequences import decode


def test_a_pulser_program_made_by_hand() -> None:
    program = PulseProgram(
        ticks=np.array([5, 3, 2, 10], np.uint32),
        digital=np.array([0b10, 0b11, 0b01, 0b10], np.uint8),
        analog=np.array([[0, 0], [0x7FFF, 0], [-0x7FFF, 0], [0, 0]], np.int16),
        n_runs=4,
    )
    (line,) = decode(program)
    assert (line.length_ps, line.loop_count) == (20_000, 4)
    assert line.edges_ps["d0"].tolist() == [[5_000, 10_000]]
    assert line.edges_ps["d1"].tolist() == [[0, 8_000], [10_000, 20_000]]
    assert line.edges_ps["d2"].shape == (0, 2)
    assert line.volts["a0"].start_ps.tolist() == [0, 5_000, 8_000, 10_000]
    assert line.volts["a0"].volts.tolist() == [0, 1, -1, 0]


def test_an_awg_program_made_by_hand() -> None:
    words = np.array([8191, 16382 | 0x4000, 0 | 0x8000, 8191 | 0xC000], np.uint16)
    program = AwgProgram(
        waveforms={"w": AwgWaveform("w", words)},
        elements=[
            AwgElement({2: "w"}, loop_count=9, wait_for_trigger=True, go_to=None, jump_to=2),
            AwgElement({2: "w"}),
        ],
        channels={2: AwgChannelSettings(amplitude_vpp=2.0, offset_v=0.25)},
    )
    first, second = decode(program)
    assert (first.number, first.loop_count, first.wait_for_trigger, first.go_to, first.jump_to) == (1, 9, True, 2, 2)
    assert (second.number, second.loop_count, second.wait_for_trigger, second.go_to) == (2, 1, False, 1)
    assert first.volts["ch2"].volts == pytest.approx([0.25, 1.25, -0.75, 0.25])
    assert first.volts["ch2"].start_ps.tolist() == [0, 1000, 2000, 3000]
    assert first.edges_ps["ch2m1"].tolist() == [[1000, 2000], [3000, 4000]]
    assert first.edges_ps["ch2m2"].tolist() == [[2000, 4000]]
    assert first.length_ps == 4000
