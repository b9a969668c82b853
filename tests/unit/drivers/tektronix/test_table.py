import pytest

from drivers.roles import AwgElement
from drivers.tektronix._table import batches, element_commands, element_from_answers, element_questions


def test_batches_join_by_semicolons_and_lose_nothing() -> None:
    assert list(batches([":A 1", ":B 2", ":C 3"], longest=9)) == [":A 1;:B 2", ":C 3"]
    assert list(batches([":LONG 123456789"], longest=5)) == [":LONG 123456789"]
    assert list(batches([])) == []


def test_a_fresh_line_needs_only_its_waveforms() -> None:
    assert list(element_commands(7, AwgElement({2: "b", 1: "a"}), "qn_")) == [
        ':SEQ:ELEM7:WAV1 "qn_a"',
        ':SEQ:ELEM7:WAV2 "qn_b"',
    ]


def test_go_to_line_one_is_not_the_following_line() -> None:
    assert list(element_commands(2, AwgElement({}, go_to=1), "")) == [
        ":SEQ:ELEM2:GOTO:IND 1",
        ":SEQ:ELEM2:GOTO:STAT 1",
    ]


def test_questions_stand_in_the_order_of_the_answers() -> None:
    assert element_questions(3, [1, 4]) == [
        ":SEQ:ELEM3:WAV1?",
        ":SEQ:ELEM3:WAV4?",
        ":SEQ:ELEM3:LOOP:INF?",
        ":SEQ:ELEM3:LOOP:COUN?",
        ":SEQ:ELEM3:TWA?",
        ":SEQ:ELEM3:GOTO:STAT?",
        ":SEQ:ELEM3:GOTO:IND?",
        ":SEQ:ELEM3:JTAR:TYPE?",
        ":SEQ:ELEM3:JTAR:IND?",
    ]
    answers = ['"qn_a"', '""', "0", "250", "1", "1", "9", "INDEX", "4"]
    assert element_from_answers(3, [1, 4], answers, "qn_") == AwgElement(
        {1: "a"}, loop_count=250, wait_for_trigger=True, go_to=9, jump_to=4
    )


@pytest.mark.parametrize("word", ["0", "OFF"])
def test_targets_that_are_off_are_none(word: str) -> None:
    element = element_from_answers(1, [1], ['"qn_a"', word, "1", word, word, "5", "OFF", "6"], "qn_")
    assert (element.wait_for_trigger, element.go_to, element.jump_to) == (False, None, None)
