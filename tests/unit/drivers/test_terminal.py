"""A link that outlived its pseudo-terminal must not lead into somebody else's."""

import os
import pty
import time

import pytest

from drivers._cores import open_terminal


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
