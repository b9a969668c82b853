"""The page of Python names tells of each public name, and of none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import qnode.client
from qnode.analysis import Estimate
from qnode.client import BellEstimate, Lab, Link, Pair, Pairs, RemoteInstrument, RemoteParameter, Site
from qnode.labfile import load_lab

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
LINK = load_lab(ROOT / "config" / "two_nodes.yaml").links[0]


def section(title: str) -> str:
    (text,) = (part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith(f"{title}\n"))
    return text


def told(text: str) -> set[str]:
    """Every word inside backticks."""
    return set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))


def public(kind: type, *more: str) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")} | set(more)


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Lab", public(Lab, "nodes", "midpoints", "links", "name", "path", "data")),
        ("Node, Midpoint", public(Site, "instruments", "name")),
        (
            "RemoteInstrument, RemoteParameter",
            public(RemoteInstrument, "name", "role", "simulated")
            | public(RemoteParameter, "name", "full_name", "label", "unit", "info"),
        ),
        ("Link", public(Link, "name", "nodes", "midpoint", "protocol")),
        (
            "Pairs",
            {name for name in public(Pairs, *vars(Pairs("run", LINK))) if not name.startswith("_")}
            - {"index", "count"}
            | public(Pair)
            | public(BellEstimate, "heralds", "correlators", "fidelity")
            | public(Estimate, "value", "statistical", "shared"),
        ),
    ],
)
def test_each_public_name_of_a_class_is_told(title, names):
    assert names - told(section(title)) == set()


def test_all_that_the_package_gives_is_on_the_page():
    assert set(qnode.client.__all__) - told(PAGE) == set()


def test_the_arguments_of_entangle_are_those_of_the_code():
    (line,) = re.findall(r"`link\.entangle\((.*?)\)`", PAGE)
    said = dict([*part.split("="), ""][:2] for part in line.split(", "))
    code = Link.entangle.__kwdefaults__
    assert {name: value for name, value in said.items() if name in code} == {n: str(v) for n, v in code.items()}
    assert (said["bases"], said["pairs"]) == ('"XYZ"', "")
