"""A link that outlived its pseudo-terminal must not lead into somebody else's; a failed line is opened anew."""

import os
import pty
import termios
import time

import pytest

from drivers._cores import TerminalInstrument, open_terminal
from qnode.errors import InstrumentError


def test_a_terminal_behind_its_own_link_opens(tmp_path):
    near, far = pty.openpty()
    (tmp_path / "tagger").symlink_to(os.ttyname(far))
    port = open_terminal(str(tmp_path / "tagger"), 1.0)
    os.write(near, b"x\n")
    assert port.read(1) == b"x"
    port.close()
    os.close(near)
    os.close(far)


def test_a_terminal_younger_than_the_link_is_a_strangers(tmp_path):
    near, far = pty.openpty()
    link = tmp_path / "tagger"
    link.symlink_to(os.ttyname(far))
    long_ago = time.time() - 60
    os.utime(link, (long_ago, long_ago), follow_symlinks=False)
    with pytest.raises(OSError, match=r"stale link: /dev/pts/[0-9]+ belongs to another program"):
        open_terminal(str(link), 1.0)
    os.close(near)
    os.close(far)


class Box(TerminalInstrument):
    model = "Maker Box"


@pytest.mark.parametrize("kind", [OSError, termios.error])
def test_a_line_that_failed_is_told_in_words_and_opened_anew(tmp_path, kind):
    near, far = pty.openpty()
    link = tmp_path / "box"
    link.symlink_to(os.ttyname(far))
    box = Box("box", str(link), timeout_s=1.0)

    def fails(port):
        raise kind(5, "Input/output error")

    with pytest.raises(
        InstrumentError, match=r"box \(Maker Box at .*box\): 'x\?' failed: .*Input/output error"
    ) as caught:
        box._guarded("x?", fails)
    assert caught.value.context["asked"] == "x?"
    assert box._port is None
    assert box._guarded("x?", lambda port: port.write(b"x?\n")) == 3
    assert os.read(near, 3) == b"x?\n"
    box.close()
    os.close(near)
    os.close(far)
