from __future__ import annotations

import math

import numpy as np
import pytest

from qnode.errors import MisuseError
from sequences import Gaussian, Section, Square, ns


@pytest.fixture
def section() -> Section:
    return Section("attempt", 1_000 * ns)


def test_a_pulse_keeps_what_was_written(section: Section) -> None:
    section.on("spin_pump", at_ps=10 * ns, length_ps=90 * ns, name="pump")
    (pulse,) = section.pulses
    assert (pulse.name, pulse.signal, pulse.start_ps, pulse.stop_ps) == ("pump", "spin_pump", 10_000, 100_000)
    assert pulse.carriers == ("spin_pump",)


def test_a_drive_is_carried_by_i_and_q(section: Section) -> None:
    section.drive("microwave", Square(100 * ns), at_ps=0, amplitude_v=0.5)
    assert section.pulses[0].carriers == ("microwave_i", "microwave_q")


@pytest.mark.parametrize("step_ps", [1000, 2000, 4000])
def test_a_square_rotation_has_the_amplitude_of_its_angle(section: Section, step_ps: int) -> None:
    # 10 MHz/V for 100 ns turns one cycle for one volt; a quarter turn needs a quarter of that.
    section.rotate("microwave", math.pi / 2, at_ps=0, shape=Square(100 * ns), rabi_mhz_per_volt=10)
    assert section.pulses[0].peak_v(step_ps) == pytest.approx(0.25)


@pytest.mark.parametrize("step_ps", [1000, 5000])
def test_a_gaussian_rotation_has_the_area_of_its_angle_on_any_grid(section: Section, step_ps: int) -> None:
    shape = Gaussian(100 * ns, 20 * ns)
    section.rotate("microwave", 1.2, at_ps=0, shape=shape, rabi_mhz_per_volt=10)
    area_volt_us = section.pulses[0].peak_v(step_ps) * shape.samples(step_ps).sum() * step_ps / 1e6
    assert 2 * math.pi * 10 * area_volt_us == pytest.approx(1.2)


def test_a_pulse_before_its_section_is_refused(section: Section) -> None:
    with pytest.raises(MisuseError, match=r"'early' on laser in section 'attempt' starts at -5 ps.*earliest .* 0 ps"):
        section.on("laser", at_ps=-5, length_ps=10, name="early")


def test_a_pulse_outside_its_section_is_refused_with_the_latest_start(section: Section) -> None:
    with pytest.raises(MisuseError, match=r"ends at 1000001 ps, outside its 1000000 ps.*latest .* 999900 ps"):
        section.on("laser", at_ps=999_901, length_ps=100)


def test_a_pulse_longer_than_its_section_is_refused(section: Section) -> None:
    with pytest.raises(MisuseError, match="at least 1000001 ps long"):
        section.on("laser", at_ps=0, length_ps=1_000_001)


@pytest.mark.parametrize("length_ps", [0, -1])
def test_a_pulse_without_length_is_refused(section: Section, length_ps: int) -> None:
    with pytest.raises(MisuseError, match="longer than 0 ps"):
        section.on("laser", at_ps=0, length_ps=length_ps)


def test_a_broken_picosecond_is_refused_with_its_neighbours(section: Section) -> None:
    with pytest.raises(MisuseError, match="whole picoseconds: 10 or 11"):
        section.on("laser", at_ps=10.5, length_ps=10)  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match="whole picoseconds"):
        section.on("laser", at_ps=math.nan, length_ps=10)  # type: ignore[arg-type]


def test_numpy_integers_are_times(section: Section) -> None:
    section.on("laser", at_ps=np.int64(10), length_ps=np.int64(10))  # type: ignore[arg-type]
    assert section.pulses[0].stop_ps == 20


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused(section: Section, value: float) -> None:
    with pytest.raises(MisuseError, match="finite"):
        section.play("laser", Square(10), at_ps=0, amplitude_v=value)
    with pytest.raises(MisuseError, match="finite"):
        section.rotate("microwave", 1.0, at_ps=0, shape=Square(10), rabi_mhz_per_volt=1, phase_rad=value)


@pytest.mark.parametrize("rabi", [0.0, -1.0, math.nan])
def test_a_calibration_that_can_not_be_is_refused(section: Section, rabi: float) -> None:
    with pytest.raises(MisuseError, match="Rabi"):
        section.rotate("microwave", 1.0, at_ps=0, shape=Square(10), rabi_mhz_per_volt=rabi)


def test_a_section_without_length_is_refused() -> None:
    with pytest.raises(MisuseError, match="section 'empty'"):
        Section("empty", 0)
