"""Paths of a DLC pro, and the table that they come from."""

from pathlib import Path

import pytest

from simulators.instruments.toptica import _table
from simulators.instruments.toptica._decof import NOT_FOUND, WRONG_TYPE, DecofError
from simulators.instruments.toptica._tree import Command, Parameter, as_kind, find_command, find_parameter
from simulators.instruments.toptica.generate_table import generate


def test_the_table_is_what_the_installed_sdk_gives():
    pytest.importorskip("toptica.lasersdk.dlcpro.v3_3_3")
    assert Path(_table.__file__).read_text("utf-8") == generate()


def test_every_node_type_is_in_the_table():
    words = {word.split("=")[1] for text in _table.PARAMETERS.values() for word in text.split()}
    kinds = {word for word in words if len(word) == 1}
    assert words - kinds <= set(_table.PARAMETERS)
    assert kinds <= set("birsxBIRSXC")
    assert set(_table.COMMANDS) <= set(_table.PARAMETERS)


def test_parameters():
    assert find_parameter("emission") == Parameter("emission", "b", False)
    assert find_parameter("laser2:dl:cc:current-set") == Parameter("laser2:dl:cc:current-set", "r", True)
    assert find_parameter("laser1:dl:lock:lock-tracking").kind == "c"


@pytest.mark.parametrize("path", ["", "laser1", "laser1:dl", "laser5:emission", "emission:x", "Emission", "save"])
def test_no_parameter(path):
    with pytest.raises(DecofError) as caught:
        find_parameter(path)
    assert caught.value.code == NOT_FOUND


def test_commands():
    assert find_command("laser1:save") == Command("laser1:save", "", None, None, None)
    assert find_command("fw-update:upload") == Command("fw-update:upload", "s", "x", None, None)
    assert find_command("system-connections") == Command("system-connections", "", None, "s", "i")


@pytest.mark.parametrize("path", ["emission", "laser1:emission:x", "laser1:explode", ""])
def test_no_command(path):
    with pytest.raises(DecofError) as caught:
        find_command(path)
    assert caught.value.code == NOT_FOUND


@pytest.mark.parametrize(
    ("value", "kind", "taken"),
    [(1, "r", 1.0), (2.5, "r", 2.5), (True, "b", True), ("AAE=", "x", b"\x00\x01"), ((1, 2.5), "c", (1.0, 2.5))],
)
def test_values_that_fit(value, kind, taken):
    assert as_kind(value, kind, "p") == taken


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1.0, "i"), (True, "i"), (True, "r"), (1, "b"), ("1", "r"), (1, "s"), ("=", "x"), ((1.0,), "c"), (1.0, "c")],
)
def test_values_that_do_not_fit(value, kind):
    with pytest.raises(DecofError, match="p") as caught:
        as_kind(value, kind, "p")
    assert caught.value.code == WRONG_TYPE
