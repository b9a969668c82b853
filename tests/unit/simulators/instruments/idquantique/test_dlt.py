"""The DataLinkTarget, with streams that the test looks into."""

import json
from pathlib import Path

import numpy as np
import pytest
from _addresses import own_block

from simulators.instruments.idquantique._dlt import DataLinkTarget

IP = f"{own_block()}6"


class FakeStream:
    """Takes ``room`` messages, then loses all."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.messages: list[bytes] = []
        self.flushed = 0
        self.closed_with_linger: bool | None = None

    def send(self, message: bytes | memoryview) -> bool:
        if len(self.messages) >= self.room:
            return False
        self.messages.append(bytes(message))
        return True

    def flush(self) -> None:
        self.flushed = len(self.messages)

    def close(self, *, linger: bool) -> None:
        self.closed_with_linger = linger


class Bench:
    def __init__(self, folder: Path, room: int = 100) -> None:
        self.streams: dict[int, FakeStream] = {}
        self.dlt = DataLinkTarget(IP, lambda port: self._open(port, room), folder, reference_first=True)

    def _open(self, port: int, room: int) -> FakeStream:
        self.streams[port] = FakeStream(room)
        return self.streams[port]

    def ask(self, command: str) -> dict[str, object]:
        answer = json.loads(self.dlt.execute(command))
        assert isinstance(answer, dict)
        return answer

    def add(self, channel: int, count: int, *tags: tuple[int, int]) -> int:
        """(sub-acquisition, stamp) pairs."""
        of = np.array([o for o, _ in tags], np.int64)
        return self.dlt.add(channel, count, np.array([t for _, t in tags], np.uint64), of, of.astype(np.uint64))


def words(message: bytes) -> list[int]:
    return np.frombuffer(message, "<u8").tolist()


def test_one_message_a_sub_acquisition_none_for_an_empty_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    name = bench.ask(f"start-stream --address {IP} --channel 2")["id"]
    lost = bench.add(2, 5, (0, 10), (0, 20), (3, 7), (4, 1), (4, 2))
    stream = bench.streams[4243]
    assert [words(m) for m in stream.messages] == [[10, 20], [7], [1, 2]]
    assert stream.flushed == 3
    assert lost == 0
    status = bench.ask(f"status --id {name}")
    assert (status["acquisitions_count"], status["timestamps_count"], status["errors"]) == (5, 5, [])


def test_each_channel_has_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ask(f"start-stream --address {IP} --channel 1")
    bench.ask(f"start-stream --address {IP} --channel 2 --stream-port 7000 --with-ref-index")
    bench.add(1, 1, (0, 5))
    bench.add(2, 2, (1, 6))
    assert bench.add(3, 1, (0, 1)) == 0  # nobody listens
    assert [words(m) for m in bench.streams[4242].messages] == [[5]]
    assert [words(m) for m in bench.streams[7000].messages] == [[1, 6]]


def test_the_end_is_told_once_and_again_after_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    name = bench.ask(f"start-stream --address {IP} --channel 1")["id"]
    bench.add(1, 1, (0, 5))
    bench.dlt.end()
    bench.dlt.end()
    bench.add(1, 1, (0, 6))
    bench.ask(f"stop --id {name}")
    stream = bench.streams[4242]
    assert [words(m) for m in stream.messages] == [[5], [], [6], []]
    assert stream.closed_with_linger is True


def test_lost_messages_are_errors(tmp_path: Path) -> None:
    bench = Bench(tmp_path, room=1)
    name = bench.ask(f"start-stream --address {IP} --channel 1")["id"]
    assert bench.add(1, 3, (0, 5), (1, 6), (2, 7)) == 2
    status = bench.ask(f"status --id {name}")
    assert status["timestamps_count"] == 1
    assert "2 messages lost" in str(status["errors"])


def test_mains_off_closes_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ask(f"start-stream --address {IP} --channel 1")
    bench.dlt.close()
    assert bench.streams[4242].closed_with_linger is False
    assert bench.streams[4242].messages == []
    assert json.loads(bench.dlt.execute("list")) == []


@pytest.mark.parametrize("options", ["", "--with-ref-index"])
def test_text_files_have_a_line_a_stamp(tmp_path: Path, options: str) -> None:
    bench = Bench(tmp_path)
    command = f"start-save --address {IP} --channel 1 --filename s.txt --format ascii {options}"
    name = bench.ask(command)["id"]
    bench.add(1, 3, (0, 5), (2, 6))
    bench.ask(f"stop --id {name}")
    expected = {"": "5\n6\n", "--with-ref-index": "5;0\n6;2\n"}
    assert (tmp_path / "s.txt").read_text() == expected[options]
