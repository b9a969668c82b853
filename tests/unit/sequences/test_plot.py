from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qnode.errors import MisuseError
from sequences import compile
from sequences.library import NodeRoundParameters, heralding_node
from sequences.plot import draw


def test_the_picture_names_every_signal_with_its_units(parameters: NodeRoundParameters, tmp_path: Path) -> None:
    programs = compile(heralding_node(parameters).round, parameters.wiring, parameters.limits, runs=12)
    path = tmp_path / "round.svg"
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        draw(programs, parameters.wiring, path)
    text = path.read_text(encoding="utf-8")
    for signal in parameters.wiring.outputs:
        if signal != "repump_light":  # not played, so not drawn
            assert signal.replace("_", " ") in text
    assert "time at the outputs (µs)" in text
    assert "one round, played 12 times" in text
    assert "a herald jumps to line 2, 4, 6" in text
    assert "peak 1.00 V" in text


def test_png(parameters: NodeRoundParameters, tmp_path: Path) -> None:
    programs = compile(heralding_node(parameters).round, parameters.wiring, parameters.limits)
    path = tmp_path / "round.png"
    draw(programs, parameters.wiring, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_format_and_an_empty_round_are_refused(parameters: NodeRoundParameters, tmp_path: Path) -> None:
    programs = compile(heralding_node(parameters).round, parameters.wiring, parameters.limits)
    with pytest.raises(MisuseError, match="no picture format is called 'bmpx'"):
        draw(programs, parameters.wiring, tmp_path / "round.bmpx")
    with pytest.raises(MisuseError, match="no program to draw"):
        draw({}, parameters.wiring, tmp_path / "round.png")


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, sequences, sequences.library, sequences.plot; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
