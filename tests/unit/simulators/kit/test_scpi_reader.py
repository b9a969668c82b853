from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.kit._scpi_reader import EndOfMessage, MessageReader, Unit

STRINGS = st.text(alphabet="ab;,#1'\" ", max_size=6)
BLOCKS = st.binary(max_size=12)


@st.composite
def messages(draw):
    """A message as bytes, and the units that are in it."""
    texts, units = [], []
    for number in range(draw(st.integers(1, 4))):
        arguments, written = [], []
        for text in draw(st.lists(STRINGS, max_size=3)):
            string = '"' + text.replace('"', '""') + '"'
            arguments.append(string)
            written.append(string.encode())
        if draw(st.booleans()):
            block = draw(BLOCKS)
            size = str(len(block))
            arguments.append(block)
            written.append(f"#{len(size)}{size}".encode() + block)
        header = f"HEAD{number}"
        is_query = draw(st.booleans())
        texts.append((header + "?" * is_query).encode() + b" " + b",".join(written))
        units.append(Unit(header, is_query, tuple(arguments)))
    return b";".join(texts) + b"\n", units


@settings(deadline=None)
@given(st.lists(messages(), min_size=1, max_size=4), st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_any_cut_gives_the_same_units(written, sizes):
    stream = b"".join(text for text, _ in written)
    expected = [event for _, units in written for event in (*units, EndOfMessage())]
    reader = MessageReader()
    events, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        events += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert events == expected
    assert MessageReader().feed(stream) == expected
