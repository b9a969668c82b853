"""The units under config/systemd: what they start exists, and systemd itself understands them."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from qnode.cli.main import app

UNITS = sorted((Path(__file__).parents[2] / "config" / "systemd").glob("*.service"))


def sections(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read_string(unit.read_text(encoding="utf-8"))
    return parser


def test_there_is_one_for_a_node_a_midpoint_and_a_simulated_lab():
    assert [unit.name for unit in UNITS] == ["qnode-lab.service", "qnode-midpoint@.service", "qnode-node@.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_with_options_that_exist_and_waits_for_its_word(unit):
    service = sections(unit)["Service"]
    program, name, *words = service["ExecStart"].split()
    assert program == "/opt/qnode/bin/qnode"
    command = typer.main.get_command(app).commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert ("%i" in words) == ("@" in unit.name)
    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert service["StateDirectory"] == words[words.index("--data") + 1].removeprefix("/var/lib/")


@pytest.mark.parametrize("unit", [one for one in UNITS if "@" in one.name], ids=lambda unit: unit.stem)
def test_systemd_leaves_the_guard_of_a_killed_daemon_its_time(unit):
    service = sections(unit)["Service"]
    assert service["KillMode"] == "control-group"
    assert service["OOMPolicy"] == "continue"
    assert int(service["TimeoutStopSec"]) > 15


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault_in_a_unit(unit, tmp_path):
    # The program and its user are not on this computer.
    text = re.sub(r"^(User|Group)=.*\n", "", unit.read_text(encoding="utf-8"), flags=re.MULTILINE)
    copy = tmp_path / unit.name.replace("@.", "@alice.")
    copy.write_text(text.replace("/opt/qnode/bin/qnode", shutil.which("true")), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
