"""The lab files that come along, as they are found and copied."""

from pathlib import Path

import pytest

from qnode.cli._examples import example_lab, new
from qnode.errors import MisuseError
from qnode.labfile import load_lab


def test_a_copy_is_the_example_and_a_lab_file(tmp_path: Path) -> None:
    new(tmp_path / "mine.yaml", "two_nodes_double_click")
    assert (tmp_path / "mine.yaml").read_bytes() == example_lab("two_nodes_double_click").read_bytes()
    assert load_lab(tmp_path / "mine.yaml").links[0].protocol == "double_click"


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("all my work")
    with pytest.raises(MisuseError, match="is there already"):
        new(path, "two_nodes")
    assert path.read_text() == "all my work"


def test_an_unknown_example_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="two_nodes") as caught:
        new(tmp_path / "mine.yaml", "nine_nodes")
    assert "nine_nodes" in caught.value.message
    assert not list(tmp_path.iterdir())
