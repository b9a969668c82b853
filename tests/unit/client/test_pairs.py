"""Pairs of a run: numbers, hash, arrays."""

from __future__ import annotations

import contextlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qnode.client import Pair, Pairs
from qnode.labfile import load_lab

TWO_NODES = Path(__file__).parents[3] / "config" / "two_nodes.yaml"
LINK = load_lab(TWO_NODES).links[0]
PERFECT = {"bright_shots": 100, "bright_ok": 100, "dark_shots": 100, "dark_ok": 100}


def a_pair(**given: Any) -> Pair:
    usual = {
        "round": 3,
        "attempt": 7,
        "pattern": 1,
        "bell": "psi+",
        "click_ps": 123_456,
        "bases": ("X", "X"),
        "outcomes": (1, -1),
        "bright": (True, False),
        "plan_id": "0123456789abcdef",
    }
    return Pair(**{**usual, **given})


def some(*pairs: Pair) -> Pairs:
    return Pairs("run", LINK, pairs)


@pytest.mark.parametrize(
    "other",
    [
        {"round": 4},
        {"attempt": 8},
        {"pattern": 2},
        {"bell": "psi-"},
        {"bases": ("X", "Y")},
        {"outcomes": (1, 1)},
    ],
)
def test_each_part_of_a_pair_is_in_the_hash(other):
    pair, changed = a_pair(), a_pair(**other)
    assert some(pair).sha256() != some(changed).sha256()
    assert some(pair, changed).sha256() != some(changed, pair).sha256()


def test_the_hash_is_sha256_of_one_json_line_a_pair_whatever_its_plan():
    # printf '[3,7,1,"psi+","X","X",1,-1]\\n' | sha256sum
    digest = "f91d74dbd9ab86f18b677298f32efa9e3bd130a512077bfd983f50de9a2cfda1"
    assert some(a_pair()).sha256() == some(a_pair(plan_id="other", click_ps=9)).sha256() == digest


def test_pairs_are_a_sequence():
    first, second = a_pair(), a_pair(round=4)
    pairs = some(first)
    pairs.extend([second])
    assert (len(pairs), pairs[0], pairs[-1], pairs[1:], list(pairs)) == (2, first, second, (second,), [first, second])
    assert second in pairs
    assert not some()


def test_rate_and_its_error():
    pairs = some(*(a_pair(round=n) for n in range(16)))
    pairs.rounds = 1_000
    # 100 + 250 x 5.5 + 20 us a round.
    assert pairs.seconds == pytest.approx(1.495)
    assert pairs.rate_hz == pytest.approx(16 / 1.495)
    assert pairs.rate_hz_err == pytest.approx(4 / 1.495)
    assert (some().rate_hz, some().rate_hz_err) == (0.0, 0.0)


def test_there_is_no_fidelity_before_both_readouts_and_three_correlators_are_there():
    pairs = some(a_pair(bases=("X", "X")), a_pair(bases=("Y", "Y")))
    assert (pairs.readouts(), pairs.bells(), pairs.correlators, pairs.fidelity) == (None, {}, {}, None)
    pairs.readout = {"alice": PERFECT, "bob": PERFECT}
    assert {name: value.value for name, value in pairs.correlators["psi+"].items()} == {"XX": -1.0, "YY": -1.0}
    assert pairs.fidelity is None
    pairs.extend([a_pair(bases=("Z", "Z"), bell="psi+")])
    assert pairs.fidelity is not None
    # psi+ has XX = YY = 1, ZZ = -1: (1 - 1 - 1 + 1) / 4.
    assert pairs.fidelity.value == pytest.approx(0.0)
    assert pairs.bells()["psi+"].heralds == 3


def test_arrays_have_a_row_a_pair_and_two_columns_where_both_nodes_speak():
    arrays = some(a_pair(), a_pair(round=4, bell="psi-", outcomes=(-1, 1), bases=("Z", "Y"))).to_arrays()
    assert {name: (array.shape, array.dtype.kind) for name, array in arrays.items()} == {
        "round": ((2,), "i"),
        "attempt": ((2,), "i"),
        "pattern": ((2,), "u"),
        "bell": ((2,), "U"),
        "click_ps": ((2,), "i"),
        "bases": ((2, 2), "U"),
        "outcomes": ((2, 2), "i"),
        "bright": ((2, 2), "b"),
        "plan_id": ((2,), "U"),
    }
    assert arrays["round"].tolist() == [3, 4]
    assert arrays["outcomes"].tolist() == [[1, -1], [-1, 1]]
    assert arrays["bases"].tolist() == [["X", "X"], ["Z", "Y"]]
    assert arrays["plan_id"].tolist() == ["0123456789abcdef"] * 2
    assert {array.shape for array in some().to_arrays().values()} == {(0,), (0, 2)}
    assert arrays["click_ps"].dtype == np.int64


def read_in_all_bases() -> Pairs:
    pairs = some(
        *(
            a_pair(round=n, bases=(basis, basis), outcomes=(1, sign), bright=(True, sign == 1))
            for n, (basis, sign) in enumerate([("X", 1), ("Y", 1), ("Z", -1)] * 5)
        )
    )
    pairs.readout, pairs.rounds, pairs.ended = {"alice": PERFECT, "bob": PERFECT}, 1_000, "done"
    return pairs


def test_they_say_in_one_line_what_they_are():
    # 15 in 1.495 s.
    assert repr(read_in_all_bases()).startswith(
        "<Pairs run: 15 pairs on alice-bob in 1.5 s of lab time, 10.0 ± 2.6 Hz, F 1.00 ± 0."
    )
    assert repr(some()) == "<Pairs run: 0 pairs on alice-bob in 0.0 s of lab time, 0.0 ± 0.0 Hz, interrupted>"


class Cells(HTMLParser):
    """Text of a table's cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_a_table_in_which_every_name_is_escaped():
    pairs = read_in_all_bases()
    pairs.ended = "bob said <b>no</b> & left"
    texts = Cells(pairs._repr_html_()).texts
    assert texts[0] == "alice-bob, run run"
    assert texts[-1] == pairs.ended
    assert "<b>" not in pairs._repr_html_()
    assert texts[texts.index("psi+") + 1].startswith("15 pairs; XX 1.00 ± 0.")
    assert "not all of XX, YY, ZZ were read" in Cells(some(a_pair())._repr_html_()).texts


def test_the_plot_shows_each_correlator_and_each_pair():
    pairs = read_in_all_bases()
    pairs.extend([a_pair(round=20, bell="psi-", bases=("X", "X"), outcomes=(1, -1))])
    figure = pairs.plot()
    correlators, arrivals = figure.axes
    _, labels = correlators.get_legend_handles_labels()
    assert [label.partition(":")[0] for label in labels] == ["psi+", "psi-"]
    values = [line.get_ydata().tolist() for container in correlators.containers for line in [container.lines[0]]]
    assert values == [[1.0, 1.0, -1.0], [-1.0]]
    (steps,) = arrivals.lines
    assert steps.get_ydata()[-1] == 16
    # Round 20 of 1.495 ms.
    assert steps.get_xdata()[-1] == pytest.approx(20 * 1.495e-3)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_an_empty_run_can_be_drawn():
    assert some().plot()._repr_png_().startswith(b"\x89PNG")


def test_pairs_become_a_dataset_in_a_database_of_their_own(tmp_path, monkeypatch, capsys):
    import qcodes
    from qcodes.dataset import connect, load_by_id

    default = tmp_path / "default.db"
    monkeypatch.setitem(qcodes.config["core"], "db_location", str(default))
    pairs = read_in_all_bases()
    database = tmp_path / "lab.db"
    assert [pairs.to_qcodes(database), pairs.to_qcodes(str(database))] == [1, 2]
    with contextlib.closing(connect(database)) as connection:
        dataset = load_by_id(2, conn=connection)
        frame = dataset.to_pandas_dataframe()
        assert (dataset.exp_name, dataset.sample_name, dataset.name) == ("run", "alice-bob", "pairs")
        metadata = dataset.metadata
    assert frame.index.tolist() == list(range(15))
    assert frame["outcome_alice"].tolist() == [1] * 15
    assert frame["outcome_bob"].tolist() == [1, 1, -1] * 5
    assert frame["basis_bob"].tolist() == ["X", "Y", "Z"] * 5
    assert frame["bright_bob"].tolist() == [1, 1, 0] * 5
    assert frame["click_ps"].tolist() == [123_456] * 15
    assert (metadata["heralds_sha256"], metadata["fidelity"]) == (pairs.sha256(), pytest.approx(1.0))
    assert qcodes.config["core"]["db_location"] == str(default)
    assert not default.exists()
    assert capsys.readouterr().out == ""
