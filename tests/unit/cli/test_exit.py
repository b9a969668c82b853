"""How a command ends: exit code and the text for the person."""

import subprocess
import sys

import pytest

from qnode.cli._exit import run_command
from qnode.errors import InstrumentError, MisuseError
from qnode.labfile import LabFault, LabFileError


def ends(body, capsys):
    with pytest.raises(SystemExit) as end:
        run_command(body)
    return end.value.code, capsys.readouterr().err


def raiser(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MisuseError("--speed x", hint="1 is real time"), 2, "qnode: --speed x - 1 is real time\n"),
        (InstrumentError("alice.awg is silent"), 1, "qnode: alice.awg is silent\n"),
        (LabFileError([LabFault("a.yaml", 3, "odd")]), 2, "a.yaml:3: odd\n"),
        (LabFileError([LabFault("a.yaml", 3, "odd"), LabFault("a.yaml", 5, "even")]), 2,
         "a.yaml:3: odd\na.yaml:5: even\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)  # fmt: skip
def test_errors_end_with_their_code_and_text(error, code, text, capsys):
    assert ends(raiser(error), capsys) == (code, text)


@pytest.mark.parametrize(("given", "code"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_command_returns_is_its_exit_code(given, code, capsys):
    assert ends(lambda: given, capsys) == (code, "")


def test_an_error_that_is_none_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


def test_a_reader_that_went_away_is_no_traceback():
    writes = """
from qnode.cli._exit import run_command
def body():
    while True:
        print("x" * 9999)
run_command(body)
"""
    with subprocess.Popen([sys.executable, "-c", writes], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == b""
