"""The network and one round, held against the lab file and the pulse sequence."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from qnode.analysis import draw_round
from qnode.analysis._report_network import network
from qnode.heralds import LinkPrograms
from qnode.labfile import load_lab

CONFIG = Path(__file__).parents[3] / "config"
LABS = ["two_nodes.yaml", "two_nodes_double_click.yaml"]
SVG = "{http://www.w3.org/2000/svg}"


def drawn_network(name: str) -> ET.Element:
    lab = load_lab(CONFIG / name)
    return ET.fromstring(network(lab, lab.links[0]))


@cache
def drawn_round(name: str) -> str:
    lab = load_lab(CONFIG / name)
    link = lab.links[0]
    programs = LinkPrograms(lab, link, dict.fromkeys(link.between, "XYZ"))
    sites = (*link.between, link.via)
    played = {site: programs.heralding(site, runs=1) for site in sites}
    return draw_round(lab, played, programs.wiring, link.attempt_period_ps, "X")


@pytest.mark.parametrize("name", LABS)
def test_every_instrument_and_every_wire_of_the_lab_file_is_there(name: str) -> None:
    document = YAML(typ="safe").load((CONFIG / name).read_text())
    picture = drawn_network(name)
    hints = [one.text for one in picture.iter(f"{SVG}title")]
    for part in ("nodes", "midpoints"):
        for site, entry in document[part].items():
            for instrument in entry["instruments"]:
                assert any(text.startswith(f"{site}.{instrument}: ") and "simulated" in text for text in hints)
    ends = [
        (wire["from"], end, wire["kind"])
        for wire in document["wires"]
        if "from" in wire
        for end in ([wire["to"]] if isinstance(wire["to"], str) else wire["to"])
    ]
    lines = [text for text in hints if re.match(r"\S+ to \S+, \w+: ", text)]
    assert sum(text.count(";") + 1 for text in lines) == len(ends)
    for source, end, kind in ends:
        (box, out), (other, into) = source.rsplit(".", 1), end.rsplit(".", 1)
        (line,) = [text for text in lines if text.startswith(f"{box} to {other}, {kind}: ")]
        assert f"{out} to {into}, " in line


def test_boxes_do_not_lie_on_each_other():
    boxes = [
        tuple(float(one.get(key)) for key in ("x", "y", "width", "height"))
        for one in drawn_network("two_nodes.yaml").iter(f"{SVG}rect")
        if one.get("class") in ("instrument", "element")
    ]
    assert len(boxes) == 3 * 1 + 15 + 6  # clocks, instruments, elements
    for place, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, *_ in boxes[place + 1 :]:
            assert abs(x - other_x) >= width or abs(y - other_y) >= height


@pytest.mark.parametrize("name", LABS)
def test_boxes_and_wires_of_a_site_stay_inside_it(name: str) -> None:
    picture = drawn_network(name)
    rects = [
        (one.get("class"), *(float(one.get(key)) for key in ("x", "y", "width", "height")))
        for one in picture.iter(f"{SVG}rect")
    ]
    sites = [(x, y, x + width, y + height) for kind, x, y, width, height in rects if kind == "site"]
    for kind, x, y, width, height in rects:
        if kind != "site":
            inside = [a <= x and b <= y and x + width <= c and y + height <= d for a, b, c, d in sites]
            assert inside.count(True) == 1
    for wire in picture.iter(f"{SVG}path"):
        # A curve stays between its ends and 3/4 of the way to its handles.
        numbers = re.fullmatch(r"M(\S+) \S+C(\S+) \S+ \S+ \S+ (\S+) \S+", wire.get("d"))
        if numbers is not None and (ends := [float(one) for one in numbers.group(1, 3)])[0] == ends[1]:
            reach = ends[0] + 0.75 * (float(numbers[2]) - ends[0])
            assert any(a < reach < c and a < ends[0] < c for a, _, c, _ in sites)


def test_no_two_lines_leave_a_box_at_the_same_place():
    begins = [
        numbers.groups()
        for wire in drawn_network("two_nodes.yaml").iter(f"{SVG}path")
        if (numbers := re.match(r"M(\S+) (\S+)C", wire.get("d")))
    ]
    assert len(begins) > 30
    assert len(set(begins)) == len(begins)


def shape(picture: str, title: str, signal: str) -> str:
    """Path of a channel in the stretch of a title."""
    for group in ET.fromstring(picture).iter(f"{SVG}g"):
        if title in [text.text for text in group.iter(f"{SVG}text")]:
            for one in group.iter(f"{SVG}path"):
                hint = one.find(f"{SVG}title")
                if hint is not None and hint.text.endswith(f": {signal}"):
                    return str(one.get("d"))
    raise AssertionError(f"no {signal} under {title}")


def stretches(d: str) -> list[tuple[float, float]]:
    """Left and right of each pulse in pixels."""
    return [(float(a), float(b)) for a, b in re.findall(r"M([\d.]+) [\d.]+v-13H([\d.]+)v13z", d)]


PICTURE = 900 - 178 - 14
"""Pixels of a stretch's time."""


def test_pulses_are_as_long_as_the_sequence_says():
    ((left, right),) = stretches(shape(drawn_round("two_nodes.yaml"), "One attempt", "spin pump"))
    assert (right - left) / PICTURE == pytest.approx(1.99 / 5.5, abs=0.0005)  # from 10 ns to 2 us of 5.5 us
    gates = stretches(shape(drawn_round("two_nodes.yaml"), "One round, if no herald comes", "herald gate"))
    assert len(gates) == 250
    pitch = (gates[-1][0] - gates[0][0]) / 249
    assert pitch / PICTURE == pytest.approx(5.5 / 1495.0, rel=0.01)


def test_a_train_is_a_block_that_says_how_often():
    assert drawn_round("two_nodes.yaml").count("250 × 5.5 µs") == 2
    assert drawn_round("two_nodes_double_click.yaml").count("250 × 10 µs") == 2


def test_the_branch_says_which_basis_it_reads():
    assert "read out in X)</text>" in drawn_round("two_nodes.yaml")


def test_double_click_shows_two_gates_in_an_attempt_half_a_microsecond_apart():
    gates = stretches(shape(drawn_round("two_nodes_double_click.yaml"), "One attempt", "herald gate"))
    assert len(gates) == 2
    assert (gates[1][0] - gates[0][0]) / PICTURE == pytest.approx(0.5 / 10, abs=0.001)


@pytest.mark.parametrize("name", LABS)
def test_it_is_light_and_names_every_wired_channel(name: str) -> None:
    picture = drawn_round(name)
    assert len(picture) < 100_000
    lab = load_lab(CONFIG / name)
    for site in lab.nodes:
        for signal in ("microwave i", "optical pulse", "spin pump", "readout light", "charge light", "repump light"):
            assert f">{site} {signal}</text>" in picture
