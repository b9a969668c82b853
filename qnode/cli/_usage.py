"""Wrong options in one line that names the option, exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

__all__ = ["OneLineGroup"]


class OneLineGroup(TyperGroup):
    """All commands; what is wrong with their options is one line on stderr."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse and run; with ``standalone_mode`` ends the process as its outcome asks."""
        try:
            code = super().main(args, "qnode", complete_var, False, windows_expand_args, **extra)
        except Exception as error:
            # Typer may carry a click of its own, whose error classes are not click's.
            context, text = getattr(error, "ctx", None), getattr(error, "format_message", None)
            if not standalone_mode or text is None:
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
                raise SystemExit(2) from error
            command = "qnode" if context is None else context.command_path
            sys.stderr.write(f"qnode: {_sentence(text())} - see `{command} --help`\n")
            raise SystemExit(2) from error
        if standalone_mode:
            raise SystemExit(code if isinstance(code, int) else 0)
        return code


def _sentence(text: str) -> str:
    one_line = " ".join(text.split()).rstrip(".")
    return one_line[:1].lower() + one_line[1:]
