"""How a command ends: 0, 1 (failed), 2 (misuse), 130 (Ctrl-C), and one clear text for the person."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from qnode.errors import MisuseError, QnodeError
from qnode.labfile import LabFileError

__all__ = ["run_command", "say"]


def say(text: str) -> None:
    """A line for the person, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run_command(command: Callable[..., int | None], *args: Any, **kwargs: Any) -> None:
    """Run the body of a command and exit as its outcome asks."""
    try:
        code = command(*args, **kwargs) or 0
    except LabFileError as error:
        # Each line begins with file and line, as editors want it.
        say(str(error))
        code = 2
    except MisuseError as error:
        say(f"qnode: {error}")
        code = 2
    except QnodeError as error:
        say(f"qnode: {error}")
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output is gone (`| head`); nothing more can be said there, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    raise SystemExit(code)
