"""The language of the DLC pro's command line."""

import pytest

from simulators.instruments.toptica._decof import (
    SYNTAX,
    Call,
    DecofError,
    Name,
    Quasiquoted,
    Quoted,
    Unquoted,
    is_complete,
    parse,
    show,
)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("#t", True),
        ("#F", False),
        ("-12", -12),
        ("+3", 3),
        ("1.5e-07", 1.5e-7),
        ("1e-07", 1e-7),
        (".5", 0.5),
        ('"a \\"b\\" (c"', 'a "b" (c'),
        ("&AAE=", b"\x00\x01"),
        ("'laser1:dl:cc:current-5V", Quoted(Name("laser1:dl:cc:current-5V"))),
        ("(+ 1 2)", Call((Name("+"), 1, 2))),
        ("()", Call(())),
        ("`(,x 1)", Quasiquoted(Call((Unquoted(Name("x")), 1)))),
        ("(param-set! 'p '(0.5 -1.0))", Call((Name("param-set!"), Quoted(Name("p")), Quoted(Call((0.5, -1.0)))))),
    ],
)
def test_one_expression(text, node):
    (found,) = parse(text)
    assert found == node
    assert type(found) is type(node)


def test_several_expressions():
    assert parse(" (a)(b)\r") == [Call((Name("a"),)), Call((Name("b"),))]
    assert parse("  ") == []


@pytest.mark.parametrize("text", [")", "(a", "'", '"open', "&a", "1.2.3", "12x"])
def test_what_is_no_expression(text):
    with pytest.raises(DecofError) as caught:
        parse(text)
    assert caught.value.code == SYNTAX


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("(a)", True),
        ("(a (b)", False),
        ("", True),
        ('(a ")")', True),
        ('(a "(', False),
        ('(a ")', False),
        ("a", True),
    ],
)
def test_brackets_close(text, complete):
    assert is_complete(text) == complete


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "#t"),
        (7, "7"),
        (100.0, "100.0"),
        (1e-7, "1.0e-07"),
        (2.5e300, "2.5e+300"),
        ('a"b', '"a\\"b"'),
        (b"\x00\x01", "&AAE="),
        ((1.0, -2), "(1.0 -2)"),
    ],
)
def test_values_as_they_are_shown(value, text):
    assert show(value) == text
