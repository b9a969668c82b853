"""Axes and marks, measured in pixels."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from qnode.analysis._report_charts import CLASSES, correlator_chart, heralds_chart, ledger_chart
from qnode.analysis._report_svg import Chart, Scale, hint, tag, text

SVG = "{http://www.w3.org/2000/svg}"


def marks(picture: str, class_: str, kind: str = "*") -> list[ET.Element]:
    return [one for one in ET.fromstring(picture).iter() if class_ in one.get("class", "").split()]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-1.0, 1.0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (0.0, 61.9, ["0", "20", "40", "60"]),
        (0.0, 12_000.0, ["0", "5,000", "10,000"]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(low: float, high: float, words: list[str]) -> None:
    assert [word for _, word in Scale(low, high).ticks()] == words


def test_ticks_of_a_logarithmic_axis_are_powers_of_ten():
    assert [word for _, word in Scale(0.5, 2e6, log=True).ticks()] == [
        "1",
        "10",
        "100",
        "1,000",
        "10,000",
        "10⁵",
        "10⁶",
    ]
    assert Scale(1.0, 100.0, log=True).share(10.0) == pytest.approx(0.5)
    assert Scale(1.0, 100.0, log=True).share(0.0) == 0.0, "no tag is at the foot, not an error"


def test_a_bar_is_as_long_as_its_value():
    chart = Chart("t", "alt", Scale(-0.5, 1.5), Scale(-1.0, 1.0))
    chart.bar(0, 1.0, 0.5, "up")
    chart.bar(1, 0.5, -0.25, "down")
    (up,), (down,) = marks(chart.svg(), "up"), marks(chart.svg(), "down")
    zero = chart.place(0, 0.0)[1]
    assert float(up.get("y")) + float(up.get("height")) == pytest.approx(zero, abs=0.1)
    assert float(down.get("y")) == pytest.approx(zero, abs=0.1)
    assert float(up.get("height")) == pytest.approx(2 * float(down.get("height")), abs=0.2)
    assert float(up.get("width")) == pytest.approx(2 * float(down.get("width")), abs=0.2)


def test_words_are_escaped_wherever_they_stand():
    nasty = "<b>\"&'"
    for made in (text(0, 0, nasty), hint(nasty), tag("g", "x", aria_label=nasty)):
        (element,) = (ET.fromstring(made),)
        assert nasty in (element.text, element.get("aria-label"))


def test_measured_and_predicted_stand_at_their_heights():
    measured = {"XX": {"value": 0.5, "error": 0.1}, "ZZ": {"value": -0.5, "error": 0.1}}
    picture = correlator_chart("psi+", measured, {"XX": 0.5, "ZZ": -0.3})
    points = [float(one.get("cy")) for one in marks(picture, "dot")]
    expected = [float(re.match(r"M[\d.]+ ([\d.]+)", one.get("d"))[1]) for one in marks(picture, "pred")][:2]
    middle = sum(points) / 2
    assert points[0] == pytest.approx(expected[0], abs=0.1), "XX is measured where it was predicted"
    assert (expected[1] - middle) / (points[1] - middle) == pytest.approx(0.3 / 0.5, abs=0.01)
    title = ET.fromstring(picture).find(f"{SVG}title").text
    assert "XX 0.500 ± 0.100 (predicted 0.500), ZZ -0.500 ± 0.100 (predicted -0.300)" in title


def test_without_a_prediction_none_is_drawn():
    picture = correlator_chart("psi-", {"XX": {"value": 0.5, "error": 0.1}}, {})
    assert not marks(picture, "pred")
    assert "predicted" not in picture


def test_rates_add_up_to_the_heralds():
    times = [0.5] * 3 + [2.5] * 6 + [7.5]
    picture = heralds_chart(times, 8.0, None)
    heights = [float(one.get("height")) for one in marks(picture, "plus") if one.tag == f"{SVG}rect"]
    assert [round(height / heights[3], 1) for height in heights] == [3.0, 6.0, 0.0, 1.0]  # 4 bins of 2 s
    assert "10 heralds in 8.0 s of lab time, 1.25 a second" in picture


def test_a_bar_of_the_ledger_is_divided_as_the_slots_are_and_shows_also_the_few():
    slots = {"heralded": 1, "vetoed": 0, "failed": 600_000, "not_played": 200_000, "masked": 199_999, "expired": 0}
    picture = ledger_chart({"alice": slots, "<bob>": slots})
    assert ET.fromstring(picture).get("aria-label").count("600,000 failed") == 2
    assert [len(marks(picture, name)) for name in CLASSES] == [2, 0, 2, 2, 2, 0]
    width = {name: float(marks(picture, name)[0].get("width")) for name in CLASSES if slots[name]}
    assert width["failed"] == pytest.approx(3 * width["not_played"], abs=0.5)
    assert width["heralded"] == 2.0
    assert sum(width.values()) == pytest.approx(400 - 78, abs=0.5)
