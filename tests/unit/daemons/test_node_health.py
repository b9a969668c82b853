"""What a node finds wrong with its tagger from the pulses that it reads."""

import numpy as np
import pytest

from qnode.daemons._node import NodeDaemon
from qnode.daemons._recorder import PpsLabels

PS_PER_S = 10**12


@pytest.fixture
def node(lab):
    return NodeDaemon(lab.path, "alice", lab.data)


def pulses_until(label):
    labels = PpsLabels()
    labels.feed(np.array([0, PS_PER_S]), label + 0.1)
    assert labels.last_label == label
    return labels


def test_a_tagger_that_has_never_read_a_pulse_is_degraded(node):
    assert node.instrument_faults(1_000 * PS_PER_S) == {"tagger": "it reads no pulse per second"}


@pytest.mark.parametrize(("age_s", "words"), [(0, ""), (3, ""), (4, "the last pulse per second came 4 s ago")])
def test_a_tagger_whose_pulses_have_stopped_is_degraded(node, age_s, words):
    node._labels = pulses_until(1_000)
    now_ps = (1_000 + age_s) * PS_PER_S + PS_PER_S // 2
    assert node.instrument_faults(now_ps) == ({"tagger": words} if words else {})


def test_while_a_plan_plays_or_without_lab_time_pulses_are_not_counted(node):
    node._labels = pulses_until(1_000)
    assert node.instrument_faults(None) == {}
    node.plan = object()
    assert node.instrument_faults(2_000 * PS_PER_S) == {}
