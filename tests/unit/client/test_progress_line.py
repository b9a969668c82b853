from __future__ import annotations

import dataclasses

from rich.cells import cell_len

from qnode.client import Progress, progress_line

LONG = Progress(
    phase="heralding",
    rounds=401_649,
    heralds=20_521,
    heralds_wanted=20_000,
    lab_seconds=600.5,
    wall_seconds=64.0,
    rate_hz=34.18,
    fidelity=0.6412,
    fidelity_err=0.0053,
    wall_seconds_left=120.4,
)


def test_the_line_says_all_and_fits_a_terminal_beside_its_spinner() -> None:
    line = progress_line(LONG)
    assert line == "401,649 rounds  20,521/20,000 heralds  34.2 Hz  F 0.641 ± 0.005  120 s left"
    assert cell_len(line) + 2 <= 80


def test_what_is_not_known_yet_is_left_out() -> None:
    early = dataclasses.replace(LONG, rounds=3, heralds=0, rate_hz=0.0, fidelity=None, wall_seconds_left=None)
    assert progress_line(early) == "3 rounds  0/20,000 heralds  0.0 Hz"


def test_a_calibration_says_what_it_is() -> None:
    assert progress_line(dataclasses.replace(LONG, phase="readout calibration")) == "readout calibration"
