"""What each click pattern says, written out."""

from __future__ import annotations

import numpy as np
import pytest

from qnode.errors import MisuseError
from qnode.heralds import DOUBLE_CLICK, SINGLE_CLICK, HeraldRules, rules_of

NOTHING, PSI_PLUS, PSI_MINUS, VETOED = "nothing", "psi+", "psi-", "vetoed"

SINGLE = [NOTHING, PSI_PLUS, PSI_MINUS, VETOED]
DOUBLE = {
    # Clicks of (window 1, window 2), as detectors: the rest is nothing.
    ("1", "1"): PSI_PLUS,
    ("2", "2"): PSI_PLUS,
    ("1", "2"): PSI_MINUS,
    ("2", "1"): PSI_MINUS,
    ("12", "1"): VETOED,
    ("12", "2"): VETOED,
    ("1", "12"): VETOED,
    ("2", "12"): VETOED,
    ("12", "12"): VETOED,
}


def said(rules: HeraldRules, pattern: int, psi_plus_on: str = "det1") -> str:
    one = np.array([pattern], np.uint8)
    assert bool(rules.fires(one)[0]) == bool(rules.heralded(one)[0] or rules.vetoed(one)[0])
    assert bool(rules.heralded(one)[0]) == (pattern in rules.bells_on(psi_plus_on))
    return VETOED if rules.vetoed(one)[0] else rules.bells_on(psi_plus_on).get(pattern, NOTHING)


def test_single_click():
    assert [said(SINGLE_CLICK, pattern) for pattern in range(4)] == SINGLE
    assert said(SINGLE_CLICK, 1, "det2") == PSI_MINUS
    assert said(SINGLE_CLICK, 2, "det2") == PSI_PLUS


@pytest.mark.parametrize("psi_plus_on", ["det1", "det2"])
def test_double_click_does_not_ask_which_detector_is_which(psi_plus_on):
    mask = {"": 0, "1": 1, "2": 2, "12": 3}
    for first, first_bits in mask.items():
        for second, second_bits in mask.items():
            pattern = first_bits + 4 * second_bits
            assert said(DOUBLE_CLICK, pattern, psi_plus_on) == DOUBLE.get((first, second), NOTHING), (first, second)


def test_rules_go_by_the_name_in_the_lab_file():
    assert rules_of("single_click") is SINGLE_CLICK
    assert rules_of("double_click") is DOUBLE_CLICK
    with pytest.raises(MisuseError, match="no protocol 'no_click'") as caught:
        rules_of("no_click")
    assert caught.value.hint == "there are single_click, double_click"
