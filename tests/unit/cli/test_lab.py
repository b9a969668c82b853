"""What several commands need of a lab file: its data folder, and options."""

from pathlib import Path

import pytest

from qnode.cli import _lab
from qnode.errors import MisuseError

EXAMPLE = Path(__file__).parents[3] / "config" / "two_nodes.yaml"


@pytest.mark.parametrize("text", [None, "max", "1", "0.5", "20"])
def test_speeds(text):
    assert _lab.parse_speed(text) == text


@pytest.mark.parametrize("text", ["fast", "0", "-1", "nan", "inf", ""])
def test_what_is_no_speed(text):
    with pytest.raises(MisuseError, match=r"--speed .*expected `max` or a positive number"):
        _lab.parse_speed(text)


def test_peers():
    assert _lab.parse_peers(["midpoint=10.0.0.3", "bob=localhost"]) == {"midpoint": "10.0.0.3", "bob": "localhost"}
    for wrong in ("midpoint", "=10.0.0.3", "midpoint="):
        with pytest.raises(MisuseError, match="expected SITE=ADDRESS"):
            _lab.parse_peers([wrong])


def test_the_data_folder_is_the_option_or_the_lab_file_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _lab.load(EXAMPLE, None)[1] == tmp_path / "qnode-data"
    assert _lab.load(EXAMPLE, Path("here"))[1] == tmp_path / "here"
