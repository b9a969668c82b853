"""What a run should read, held against density matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qnode.analysis import LABELS, correlation_matrix, expected_readings, predict_link
from qnode.labfile import Lab, Link, World, load_lab, load_world

CONFIG = Path(__file__).parents[3] / "config"
FLIP = np.kron([[0, 1], [1, 0]], [[0, 1], [1, 0]])


def loaded(name: str) -> tuple[Lab, World, Link]:
    path = CONFIG / name
    lab = load_lab(path)
    return lab, load_world(path), lab.links[0]


def lopsided(link: Link) -> Link:
    """Another bright state at each node, so that no two populations are alike."""
    first, second = link.between
    return link.model_copy(update={"bright_state": {first: 0.2, second: 0.4}})


@pytest.mark.parametrize("name", ["two_nodes.yaml", "two_nodes_double_click.yaml"])
@pytest.mark.parametrize("bell", ["psi+", "psi-"])
def test_readings_are_those_of_the_state_with_its_fidelity_and_populations(name: str, bell: str) -> None:
    lab, world, link = loaded(name)
    link = lopsided(link)
    prediction = predict_link(lab, world, link)
    # The state, from fidelity F = (p01 + p10) / 2 + c; a spin flip of double click is a Pauli X on both.
    populations = [prediction.populations[label] for label in LABELS]
    coherence = prediction.fidelity - (populations[1] + populations[2]) / 2
    rho = np.diag(np.array(populations, complex))
    rho[1, 2] = rho[2, 1] = coherence if bell == "psi+" else -coherence
    if link.protocol == "double_click":
        rho = FLIP @ rho @ FLIP
    matrix = correlation_matrix(rho)
    readings = expected_readings(prediction, link)[bell]
    for place, pauli in enumerate(("XX", "YY", "ZZ")):
        assert readings["correlators"][pauli] == pytest.approx(matrix[place, place]), pauli
    assert [readings["populations"][label] for label in LABELS] == pytest.approx(np.diag(rho).real.tolist())
