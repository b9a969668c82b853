"""JSON objects out of a stream."""

import json

import pytest

from simulators.instruments.single_quantum._objects import ObjectReader, as_message


def test_objects_need_nothing_between_them() -> None:
    assert ObjectReader().feed(b'{"a": 1}{"b": [2]}\x17\n {"c": {}}') == [{"a": 1}, {"b": [2]}, {"c": {}}]


@pytest.mark.parametrize("step", [1, 3])
def test_segments_may_cut_anywhere(step: int) -> None:
    wanted = [{"label": 'a "b" {', "value": {"x": [1, 2]}}, {"y": "\\"}, {"z": "ä"}]
    data = "".join(json.dumps(item, ensure_ascii=False) for item in wanted).encode()
    reader = ObjectReader()
    assert [item for n in range(0, len(data), step) for item in reader.feed(data[n : n + step])] == wanted


def test_what_is_no_json_is_told_and_the_next_object_read() -> None:
    assert ObjectReader().feed(b'{nonsense}noise}{"a": 1}') == [None, {"a": 1}]


def test_noise_is_skipped() -> None:
    reader = ObjectReader()
    assert reader.feed(b"hello\r\n" * 100) == []
    assert reader.feed(b"{}") == [{}]


def test_an_object_without_end_breaks_the_connection() -> None:
    with pytest.raises(ConnectionError, match="without end"):
        ObjectReader().feed(b'{"a": "' + b"x" * 1_100_000)


def test_messages_end_with_an_etb() -> None:
    message = as_message("BiasCurrent", [1.5])
    assert message.endswith(b"\x17")
    assert json.loads(message[:-1]) == {"label": "BiasCurrent", "value": [1.5]}
