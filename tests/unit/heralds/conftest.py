"""The two-node lab as a document that a test may change, without the checks of loading."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from qnode.labfile import Lab

TWO_NODES = Path(__file__).parents[3] / "config" / "two_nodes.yaml"

Edit = Callable[[Any], None]


@pytest.fixture(scope="session")
def document() -> Any:
    tree = YAML(typ="safe").load(TWO_NODES.read_text())
    del tree["world"]
    return tree


@pytest.fixture(scope="session")
def lab_with(document: Any) -> Callable[..., Lab]:
    """Gives the lab after some edits of its document."""

    def make(*edits: Edit) -> Lab:
        tree = copy.deepcopy(document)
        for edit in edits:
            edit(tree)
        return Lab.model_validate(tree)

    return make


@pytest.fixture(scope="session")
def delay() -> Callable[[str, float], Edit]:
    """An edit: another delay, in ns, of the wire into an input, which gets a wire of its own."""

    def edit(end: str, delay_ns: float) -> Edit:
        def change(tree: Any) -> None:
            for wire in list(tree["wires"]):
                ends = [wire["to"]] if isinstance(wire.get("to"), str) else wire.get("to", [])
                if end in ends:
                    wire["to"] = [other for other in ends if other != end]
                    if not wire["to"]:
                        tree["wires"].remove(wire)
                    tree["wires"].append({**wire, "to": end, "delay_ns": delay_ns})

        return change

    return edit


@pytest.fixture(scope="session")
def double_click() -> Edit:
    """An edit: the link heralds by double click, behind a latch."""

    def change(tree: Any) -> None:
        tree["links"][0].update(protocol="double_click", attempt_period_us=10)
        for entry in tree["wires"]:
            if entry.get("kind") == "gated_or":
                entry["kind"] = "two_window_latch"

    return change
