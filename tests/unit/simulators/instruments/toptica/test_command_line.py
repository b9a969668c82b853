"""One client's command line, byte by byte."""

import pytest

from simulators.instruments.toptica._command_line import Session
from simulators.instruments.toptica._controller import Controller
from simulators.kit.testing import ManualTime


@pytest.fixture
def controller() -> Controller:
    return Controller(ManualTime(), "DLC PRO_000001", "127.0.0.2", lambda: None)


@pytest.fixture
def session(controller: Controller) -> Session:
    return Session(controller)


def ask(session: Session, text: str) -> str:
    reply = session.feed(text.encode())
    assert reply.endswith("\n> ")
    return reply.removesuffix("\n> ")


def test_welcome_ends_with_the_first_and_only_prompt(session: Session) -> None:
    welcome = session.welcome()
    assert welcome.endswith("DeCoF Command Line\r\n> ")
    assert welcome.count("\n> ") == 1
    assert "DLC PRO_000001" in welcome


def test_read_and_write(session: Session) -> None:
    assert ask(session, "(param-ref 'laser1:dl:cc:current-set)\n") == "100.0"
    assert ask(session, "(param-set! 'laser1:dl:cc:current-set 91)\r\n") == "0"
    assert ask(session, "(param-gsv 'laser1:dl:cc:current-set)\n") == "91.0"
    assert ask(session, "(param-ref 'fw-ver)\n") == '"3.3.3"'


def test_many_reads_and_writes_in_one_line(session: Session) -> None:
    read = "`(,(param-ref 'laser1:dl:cc:current-set),(param-ref 'emission) 1)\n"
    assert ask(session, read) == "(100.0 #f 1)"
    write = "(+ (param-set! 'laser1:dl:cc:current-set 90.5)(param-set! 'laser1:dl:cc:enabled #t))\n"
    assert ask(session, write) == "0"
    assert ask(session, read) == "(90.5 #t 1)"
    assert ask(session, "(+ (param-set! 'emission #t) (param-set! 'nonsense 1))\n") == "-8"
    assert ask(session, '(list 1 "a" \'(2 3))\n') == '(1 "a" (2 3))'


@pytest.mark.parametrize("step", [1, 2, 7])
def test_segments_may_cut_anywhere(session: Session, step: int) -> None:
    data = "(param-set! 'system-label \"Gestell äöü €\")\n(param-ref\n 'system-label)\n".encode()
    replies = "".join(session.feed(data[n : n + step]) for n in range(0, len(data), step))
    assert replies == '0\n> "Gestell äöü €"\n> '


def test_input_streams_end_with_a_hash(session: Session) -> None:
    assert session.feed(b"(exec 'service-script)\n") == ""
    assert session.feed(b"AAE") == ""
    assert session.feed(b"=#(param-ref 'ul)\n") == "()\n> 3\n> "
    assert session.feed(b"(exec 'service-script)\nno base64!#") == (
        "Error: -4 wrong type: service-script: the stream is no base64\n> "
    )


def test_output_comes_before_the_return_value(session: Session) -> None:
    assert ask(session, "(exec 'system-connections)\n") == "0 command line\n0 monitoring line\n0"
    assert ask(session, "(exec 'laser1:save)\n") == "()"
    assert ask(session, "(exec 'error-log)\n") == "()"
    assert ask(session, '(exec "laser1:save")\n') == "()"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("(param-ref 'laser1:nonsense)", -3),
        ("(param-ref laser1:emission)", -2),
        ("(param-ref)", -2),
        ("(explode 'x)", -3),
        ("explode", -3),
        (")", -2),
        ("(1 2)", -2),
        ("()", -2),
        (",1", -2),
        ("'x", -4),
        ("(+ 1 #t)", -4),
        ("(exec)", -2),
        ("(exec 'nonsense)", -3),
        ("(exec 'laser1:save 1)", -4),
        ("(exec 'change-ul 3)", -4),
        ('(exec \'change-ul #t "")', -4),
    ],
)
def test_errors_start_with_error(session: Session, line: str, code: int) -> None:
    assert ask(session, f"{line}\n").startswith(f"Error: {code} ")
    assert ask(session, "(param-ref 'ul)\n") == "3"


def test_settings_answer_errors_with_their_number(session: Session) -> None:
    assert ask(session, "(param-set! 'nonsense 1)\n") == "-3"
    assert ask(session, "(param-set! 'emission #t)\n") == "-5"
    assert ask(session, "(param-set! 'laser1:dl:pc:voltage-set 140.1)\n") == "-6"
    assert ask(session, "(param-set! 'laser1:dl:pc:voltage-set #t)\n") == "-4"
    assert ask(session, "(param-set! 'ul 2)\n") == "-7"
    assert ask(session, "(param-set! 'ul 4)\n") == "0"
    assert ask(session, '(param-set! \'system-label "x")\n') == "-7"
    assert ask(session, '(param-set! \'time "2020-01-01T00:00:00Z")\n') == "-7"
    assert ask(session, "(param-set! 'ul 3)\n") == "0"
    assert ask(session, '(param-set! \'time "2020-01-01T00:00:00Z")\n') == "1"


def test_empty_lines_are_not_answered(session: Session) -> None:
    assert session.feed(b"\r\n\n(param-ref 'ul)\n\n") == "3\n> "


def test_a_line_without_end_breaks_the_connection(session: Session) -> None:
    with pytest.raises(ConnectionError, match="without end"):
        session.feed(b"(" * (9 * 1024 * 1024))
