"""Against a scripted peer behind a pseudo-terminal."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from _peers import PtyPeer

from drivers.roles import Identity
from drivers.sfifteen.tdc1 import TDC1
from qnode.errors import InstrumentError, MisuseError
from qnode.tags import TagBlock, Tdc1Decoder


class Peer(PtyPeer):
    """Answers lines by a table, records the bytes it got; words are written by the test."""

    def __init__(self) -> None:
        self.received = b""
        self.replies = {
            b"*IDN?": b"S-Fifteen Instruments,TDC1,TDC1-R03-0012,svn-8\r\n",
            b"REFCLK?": b"1\r\n",
            b"time?": b"0\r\n",
            b"mode?": b"3\r\n",
            b"level?": b"1.6 V\r\n",
        }
        self.changed = threading.Condition()
        self.pending = b""
        super().__init__()

    def feed(self, data: bytes) -> None:
        with self.changed:
            self.received += data
            self.changed.notify_all()
        *lines, self.pending = (self.pending + data).split(b"\r\n")
        for line in lines:
            self.say(self.replies.get(line, b""))

    def got(self, expected: bytes) -> bool:
        """Whether exactly this has come since the last call, or does within five seconds; forgets it."""
        with self.changed:
            equal = (
                self.changed.wait_for(lambda: len(self.received) >= len(expected), 5) and self.received == expected
            )
            self.received = b""
        return equal


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.unplug()


@pytest.fixture
def tagger(peer: Peer) -> Iterator[TDC1]:
    tagger = TDC1("tagger", peer.path, timeout_s=2.0)
    assert peer.got(b"abort\r\n*IDN?\r\nREFCLK 1\r\nREFCLK?\r\n")
    yield tagger
    tagger.close()


def read_all(tagger: TDC1, size: int) -> list[bytes]:
    chunks: list[bytes] = []
    deadline = time.monotonic() + 60
    while sum(map(len, chunks)) < size and time.monotonic() < deadline:
        chunks.append(tagger.read(timeout_s=0.1).data)
    return chunks


START = b"abort\r\nTTL\r\nREFCLK 1\r\nREFCLK?\r\ntime 0\r\ntime?\r\nINPKT;timestamp\r\nmode?\r\ncounts?\r\n"


def test_start_sends_the_commands_in_order(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    assert peer.got(START)


def test_nim_level_is_set_at_the_start(peer: Peer) -> None:
    tagger = TDC1("tagger", peer.path, level="NIM")
    assert peer.got(b"abort\r\n*IDN?\r\nREFCLK 1\r\nREFCLK?\r\n")
    tagger.start()
    assert peer.got(START.replace(b"TTL", b"NIM"))


def test_words_come_in_order_however_they_are_cut(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    words = bytes(range(256)) * 4
    writer = threading.Thread(target=lambda: [peer.say(words[i : i + 7]) for i in range(0, len(words), 7)])
    writer.start()
    chunks = read_all(tagger, len(words))
    writer.join(5)
    assert b"".join(chunks) == words


def test_an_unfinished_word_is_handed_out_as_it_came(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    started = time.monotonic()
    assert tagger.read(timeout_s=0.1).data == b""
    assert 0.1 <= time.monotonic() - started < 20.0
    peer.say(b"\x01\x02\x03")
    assert b"".join(read_all(tagger, 3)) == b"\x01\x02\x03"
    peer.say(b"\x04\x05")
    tags = tagger.read(timeout_s=5.0)
    assert (tags.format, tags.data[:1], tags.channel) == ("sfifteen_tdc1", b"\x04", 0)


@pytest.mark.parametrize(("at", "lose"), [(4 * 300 + 1, 1), (4 * 300 + 2, 2), (4 * 590 + 1, 1), (4 * 596, 3)])
def test_bytes_lost_on_the_line_are_found_and_marked(peer: Peer, tagger: TDC1, at: int, lose: int) -> None:
    """In the midst and just before the end, where only the bytes that are left over tell of the loss."""
    tagger.start()
    units = 1_000 + 700 * np.arange(600)
    masks = np.where(np.arange(600) % 10, 1, 2)
    sound = (units << 5 | masks).astype("<u4").tobytes()
    sent = sound[:at] + sound[at + lose :]
    peer.say(sent)
    decoder = Tdc1Decoder(prompt=True)
    # The block of `finish` is what a file's reader, or whoever ends a live stream, gets of it.
    block = TagBlock.concat([*(decoder.feed(part) for part in read_all(tagger, len(sent))), decoder.finish()])
    outside = np.ones(len(block), bool)
    for start_ps, end_ps in block.gaps.tolist():
        outside &= (block.t_ps < start_ps) | (block.t_ps >= end_ps)
    (first_gap_ps, _), *_ = block.gaps.tolist()
    assert units[at // 4 - 20] * 2_000 < first_gap_ps <= units[at // 4] * 2_000
    channels = np.where(masks == 2, 2, 1)
    true = set(zip((2_000 * units).tolist(), channels.tolist(), strict=True))
    found = set(zip(block.t_ps[outside].tolist(), block.channel[outside].tolist(), strict=True))
    assert found <= true
    assert len(found) > at // 4 - 20


def test_carriage_returns_and_control_bytes_pass_unchanged(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    peer.say(b"\r\n\x03\x04\x11\x13\x1a\x7f")
    assert b"".join(read_all(tagger, 8)) == b"\r\n\x03\x04\x11\x13\x1a\x7f"


def test_stop_drops_what_is_under_way(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    assert peer.got(START)
    peer.say(b"\xaa" * 1001)
    tagger.stop()
    assert peer.got(b"abort\r\n")
    assert tagger.ask("level?") == "1.6 V"
    with pytest.raises(MisuseError, match=r"read\(\) before start\(\)"):
        tagger.read(timeout_s=0.1)
    tagger.start()
    peer.say(b"\x01\x00\x00\x00")
    assert tagger.read(timeout_s=1.0).data == b"\x01\x00\x00\x00"


def test_nothing_is_asked_while_it_streams(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    assert peer.got(START)
    assert tagger.identify() == Identity("S-Fifteen Instruments", "TDC1", "TDC1-R03-0012", "svn-8")
    assert tagger.reference_locked() is True
    with pytest.raises(MisuseError, match="while it streams"):
        tagger.ask("level?")
    tagger.stop()
    assert peer.got(b"abort\r\n")


def test_a_stream_left_by_a_killed_owner_is_ended_first(peer: Peer) -> None:
    peer.say(b"\x55" * 999)
    tagger = TDC1("tagger", peer.path, timeout_s=2.0)
    assert tagger.identify().model == "TDC1"
    assert peer.got(b"abort\r\n*IDN?\r\nREFCLK 1\r\nREFCLK?\r\n*IDN?\r\n")


def test_safe_state_twice_in_any_state(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    assert peer.got(START)
    tagger.enter_safe_state()
    tagger.enter_safe_state()
    assert peer.got(b"abort\r\nabort\r\n")


@pytest.mark.parametrize(
    ("question", "reply", "text"),
    [
        (b"REFCLK?", b"2\r\n", "'REFCLK\\?' is '2' after 'REFCLK 1', expected '1'"),
        (b"mode?", b"0\r\n", "'mode\\?' is '0' after 'INPKT;timestamp', expected '3'"),
        (b"time?", b"1000\r\n", "'time\\?' is '1000' after 'time 0', expected '0'"),
        (b"mode?", b"", "no answer to 'mode\\?' within 2 s"),
        (b"mode?", b"3", "no answer to 'mode\\?' within 2 s, only b'3'"),
    ],
)
def test_a_setting_not_taken_stops_the_start(
    peer: Peer, tagger: TDC1, question: bytes, reply: bytes, text: str
) -> None:
    peer.replies[question] = reply
    with pytest.raises(InstrumentError, match=text):
        tagger.start()
    assert b"counts?" not in peer.received


def test_another_device_is_refused(peer: Peer) -> None:
    peer.replies[b"*IDN?"] = b"Arduino Uno\r\n"
    with pytest.raises(InstrumentError, match=r"another device answers .*Arduino Uno"):
        TDC1("tagger", peer.path, timeout_s=0.3)


def test_a_free_text_identity_is_understood(peer: Peer) -> None:
    peer.replies[b"*IDN?"] = b"Timestamp unit TDC1, svn-8; SN TDC1-R03-0007\r\n"
    assert TDC1("tagger", peer.path).identify().serial == "TDC1-R03-0007"


def test_no_terminal_is_one_clear_line() -> None:
    with pytest.raises(
        InstrumentError, match=r"tagger \(S-Fifteen TDC1 at /dev/no-such-tty\): can't open .*USB cable"
    ):
        TDC1("tagger", "/dev/no-such-tty")


def test_unplugged_while_it_streams(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    assert peer.got(START)
    peer.unplug()
    with pytest.raises(InstrumentError, match="'reading words' failed"):
        tagger.read(timeout_s=1.0)


def test_four_megabytes_at_once_come_complete(peer: Peer, tagger: TDC1) -> None:
    tagger.start()
    words = bytes(range(256)) * (4_000_000 // 256)
    writer = threading.Thread(target=peer.say, args=(words,))
    writer.start()
    chunks = read_all(tagger, len(words))
    writer.join(5)
    assert b"".join(chunks) == words
    assert max(map(len, chunks)) > 4096  # not one call a terminal buffer
