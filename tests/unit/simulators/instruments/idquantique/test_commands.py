"""The grammar of the command tree."""

import pytest

from simulators.instruments.idquantique._blocks import COMMANDS, FACTORY_LINKS, source_input
from simulators.instruments.idquantique._commands import CommandTree, Leaf


@pytest.fixture
def changed() -> list[str]:
    return []


@pytest.fixture
def tree(changed: list[str]) -> CommandTree:
    commands = {
        "INPUt#2:ENABle": Leaf("switch", "OFF"),
        "INPUt#2:THREshold": Leaf("number", "0.5"),
        "INPUt#2:COUNter": Leaf("ask"),
        "INPUt#2:COUNter:MODE": Leaf("choice", "CYCLE", ("CYCLE", "ACCUM")),
        "INPUt#2:COUNter:INTEgration": Leaf("number", "1000"),
        "INPUt#2:COUPling": Leaf("choice", "DC", ("DC", "AC")),
        "RECord:NUMber": Leaf("count", "1"),
        "RECord:LINK": Leaf("link", "NONE"),
        "RECord:PLAY": Leaf("do"),
        "BIN:WIDTh": Leaf("number", "100", unit="TB"),
        "*IDN": Leaf("ask"),
    }
    actions = {
        "*IDN?": lambda _n, _a: "me",
        "INPU:COUN?": lambda n, _a: str(n * 10),
        "REC:PLAY": lambda _n, _a: None,
    }
    return CommandTree(commands, actions, changed.append, {})


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("*IDN?", "me"),
        ("*idn?", "me"),
        ("INPU1:ENAB?", "OFF"),
        ("input2:enable?", "OFF"),
        (":Inpu2:Coun?", "20"),
        ("INPU1:THRE?;ENAB?", "0.5\nOFF"),
        ("INPU1:COUN?;:INPU2:COUN?", "10\n20"),
        ("INPU1:COUN:MODE?;INTE?", "CYCLE\n1000"),
        ("INPU1:COUN:MODE?;INPU2:COUN?", "CYCLE\n20"),
        ("INPU1:ENAB ON", ""),
        ("INPU1:ENAB ON;THRE 0.25V;ENAB?;THRE?", "ON\n0.25"),
        ("INPU1:ENAB 1;ENAB?;ENAB 0;ENAB?", "ON\nOFF"),
        ("INPU1:THRE -200mV;THRE?", "-0.2"),
        ("REC:NUM INF;NUM?", "INF"),
        ("REC:NUM 0;NUM?", "INF"),
        ("REC:NUM 12;NUM?", "12"),
        ("REC:LINK START;LINK?;LINK inpu3;LINK?", "STAR\nINPU3"),
        ("BIN:WIDT 1e3;WIDT?", "1000TB"),
        ("INPU1:COUN:MODE ACC;MODE?", "ACCUM"),
        ("REC:PLAY", ""),
        ("", ""),
    ],
)
def test_answers(tree: CommandTree, line: str, answer: str) -> None:
    assert tree.execute(line) == answer


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("NOPE:X 1", -113),
        ("INPU3:ENAB?", -113),
        ("INPU1:COU?", -113),  # counter or coupling?
        ("INPU1", -113),
        ("REC:PLAY?", -113),
        ("INPU1:COUN 3", -113),
        ("INPU1:ENAB", -109),
        ("INPU1:ENAB MAYBE", -224),
        ("INPU1:COUN:MODE CUBE", -224),
        ("REC:LINK MOON", -224),
        ("INPU1:THRE high", -104),
        ("INPU1:THRE 3 parsec", -131),
        ("REC:NUM -1", -222),
        ("REC:NUM 1.5", -222),
    ],
)
def test_refusals_are_answered_and_listed(tree: CommandTree, changed: list[str], line: str, number: int) -> None:
    before = dict(tree.values)
    assert tree.execute(line).startswith(f"{number},")
    assert tree.next_error().startswith(f"{number},")
    assert tree.next_error() == '0,"No error"'
    assert tree.values == before
    assert changed == []


def test_settings_are_told_and_reset(tree: CommandTree, changed: list[str]) -> None:
    tree.execute("INPU2:THRE 1;:REC:NUM 3")
    assert changed == ["INPU2:THRE", "REC:NUM"]
    tree.reset()
    assert tree.execute("INPU2:THRE?;:REC:NUM?") == "0.5\n1"


def test_a_chain_of_blocks_leads_to_its_input() -> None:
    tree = CommandTree(COMMANDS, {}, lambda _path: None, FACTORY_LINKS)
    assert source_input(tree.values, "RAW1") is None
    assert source_input(tree.values, "TSCO6") == (2, 0)
    assert source_input(tree.values, "DELA5") == (0, 0)
    tree.execute("DELA2:VALU 500;:INPU2:DELA 30")
    assert source_input(tree.values, "TSCO6") == (2, 530)
    tree.execute("TSCO6:WIND:ENAB ON")
    assert source_input(tree.values, "TSCO6") is None
    tree.execute("DELA1:LINK DELA2;:DELA2:LINK DELA1")  # a circle ends
    assert source_input(tree.values, "DELA1") is None
