"""One end of a connection each: what the server sends, and when, is written by hand."""

import socket
import threading
from collections.abc import Iterator

import pytest

from drivers.single_quantum._labels import ControlLine, Label

REQUEST_ALL = b'{"request": "labelProps", "value": "None"}'


@pytest.fixture
def ends() -> Iterator[tuple[ControlLine, socket.socket]]:
    with socket.create_server(("127.0.45.5", 0)) as listener:
        host, port = listener.getsockname()
        line = ControlLine(host, port, timeout_s=0.2)
        server, _ = listener.accept()
        with server:
            server.settimeout(2)
            yield line, server
            line.close()


def test_the_rest_of_an_earlier_answer_does_not_answer_a_later_question(
    ends: tuple[ControlLine, socket.socket],
) -> None:
    line, server = ends
    server.sendall(b'{"label": "A", "value": {"value": 1}}\x17')
    assert line.read("A") == Label(1)
    server.sendall(b'{"label": "B", "value": {"value": 1}}\x17')
    server.sendall(b'{"label": "A", "value": {"value": 1}}\x17{"label": "B", "value": {"value": 2}}\x17')
    assert line.read("B") == Label(2)
    assert server.recv(1000) == 2 * REQUEST_ALL


def test_a_broadcast_is_no_answer(ends: tuple[ControlLine, socket.socket]) -> None:
    line, server = ends
    server.sendall(b'{"label": "A", "value": {"value": 1, "unit": "mV", "bounds": [0, 9]}}\x17')
    assert line.read("A") == Label(1, "mV", (0.0, 9.0))
    server.sendall(b'{"label": "A", "value": 5}\x17')
    with pytest.raises(TimeoutError):
        line.read("A")


def test_a_measured_label_is_the_one_after_the_question(ends: tuple[ControlLine, socket.socket]) -> None:
    line, server = ends
    server.sendall(b'{"label": "V", "value": [1]}\x17{"label": "N", "value": {"value": 2}}\x17')
    with pytest.raises(TimeoutError):
        line.read_measured("V", marker="N")
    assert server.recv(1000) == b'{"request": "V"}' + REQUEST_ALL


def test_a_plain_answer_keeps_unit_and_bounds(ends: tuple[ControlLine, socket.socket]) -> None:
    line, server = ends

    def answer() -> None:
        received = b""
        while not received.endswith(REQUEST_ALL):
            received += server.recv(1000)
        server.sendall(b'{"label": "V", "value": [7]}\x17{"label": "N", "value": {"value": 2}}\x17')

    server.sendall(b'{"label": "V", "value": {"value": [1], "unit": "V", "bounds": [0, 9]}}\x17')
    thread = threading.Thread(target=answer)
    thread.start()
    assert line.read_measured("V", marker="N") == Label([7], "V", (0.0, 9.0))
    thread.join(5)


def test_bounds_that_are_none_are_not_taken(ends: tuple[ControlLine, socket.socket]) -> None:
    line, server = ends
    server.sendall(b'{"label": "A", "value": {"value": [1, 2], "bounds": [30, 30]}}\x17')
    assert line.read("A") == Label([1, 2])


def test_errors_are_given_once(ends: tuple[ControlLine, socket.socket]) -> None:
    line, server = ends
    server.sendall(
        b'{"label": "LastError", "value": {"value": "old"}}\x17'
        b'{"label": "DriverError", "value": ""}\x17{"label": "DriverError", "value": "no board"}\x17'
        b'{"label": "A", "value": {"value": 1}}\x17'
    )
    line.read("A")
    assert line.take_errors() == ["DriverError: no board"]
    assert line.take_errors() == []
