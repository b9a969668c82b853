"""Write the table of a DLC pro's parameters and commands from the maker's SDK.

Run ``python -m simulators.instruments.toptica.generate_table`` where ``toptica-lasersdk`` is installed; it rewrites
``_table.py`` beside it. The simulator itself never needs the SDK: this reads the source of one generated module of
it, without running it.
"""

from __future__ import annotations

import ast
import importlib.util
import textwrap
from pathlib import Path

from qnode.errors import MisuseError

__all__ = ["generate", "main"]

_MODULE = "toptica.lasersdk.dlcpro.v3_3_3"
_KINDS = {"Boolean": "b", "Integer": "i", "Real": "r", "String": "s", "Binary": "x"}
_PYTHON_KINDS = {"bool": "b", "int": "i", "float": "r", "str": "s", "bytes": "x", "UserLevel": "i"}
_HEADER = '''\
"""What a DLC pro of firmware 3.3.3 has: parameters and commands, by type of node.

Written by ``python -m simulators.instruments.toptica.generate_table`` from the module ``dlcpro/v3_3_3.py`` of
toptica-lasersdk; don't edit. The SDK is under the MIT License, {copyright}.

`PARAMETERS`: type of node to its parameters, each ``name=kind``. Kinds: b boolean, i integer, r real, s string,
x binary, capitals can be written; C is a pair of reals that can be written; any other word is a type of node.

`COMMANDS`: type of node to its commands, each ``name(arguments)``, then ``<kind`` of its input stream, ``>kind`` of
its output stream, ``=kind`` of its return value.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COMMANDS", "PARAMETERS", "ROOT"]

ROOT = "DLCpro"

'''


def generate() -> str:
    """The text of ``_table.py``.

    Raises:
        MisuseError: the SDK is not installed.
    """
    try:
        spec = importlib.util.find_spec(_MODULE)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise MisuseError(f"no module {_MODULE}", hint="pip install toptica-lasersdk")
    classes = [
        node for node in ast.parse(Path(spec.origin).read_text("utf-8")).body if isinstance(node, ast.ClassDef)
    ]
    parameters = {node.name: _parameters(node) for node in classes}
    commands = {node.name: _commands(node) for node in classes}
    return (
        _HEADER.format(copyright=_copyright(Path(spec.origin)))
        + _mapping("PARAMETERS", parameters)
        + "\n"
        + _mapping("COMMANDS", {name: found for name, found in commands.items() if found})
    )


def main() -> None:
    """Rewrite the table."""
    Path(__file__).with_name("_table.py").write_text(generate(), "utf-8")


def _copyright(module: Path) -> str:
    site = next(folder for folder in module.parents if folder.name == "toptica").parent
    texts = sorted(site.glob("toptica_lasersdk-*.dist-info/**/LICENSE*"))
    lines = texts[0].read_text("utf-8").splitlines() if texts else []
    return next((line.strip() for line in lines if line.startswith("Copyright")), "Copyright TOPTICA Photonics")


def _mapping(name: str, entries: dict[str, list[str]]) -> str:
    lines = [f"{name}: Mapping[str, str] = {{"]
    for key, words in entries.items():
        text = " ".join(words)
        # As the project's formatter leaves it: 118 columns, joined where a string fits into one line.
        chunks = [text] if len(text) <= 108 else textwrap.wrap(text, 107, break_on_hyphens=False)
        if len(chunks) == 1 and len(key) + len(text) <= 107:
            lines.append(f'    "{key}": "{chunks[0]}",')
            continue
        lines.append(f'    "{key}": (')
        lines.extend(f'        "{chunk} "' for chunk in chunks[:-1])
        lines.extend([f'        "{chunks[-1]}"', "    ),"])
    return "\n".join([*lines, "}", ""])


def _parameters(node: ast.ClassDef) -> list[str]:
    found: list[str] = []
    for statement in _method(node, "__init__").body:
        value = statement.value if isinstance(statement, ast.Assign) else None
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id != "Client":
            found.append(f"{_name(value.args[1])}={_kind(value.func.id)}")
    return found


def _kind(type_name: str) -> str:
    read_only = type_name.removeprefix("Mutable").removeprefix("Settable")
    kind = _KINDS.get(read_only.removeprefix("Decop"))
    if kind is None:
        return "C" if type_name == "Coordinate" else type_name
    return kind if read_only == type_name else kind.upper()


def _commands(node: ast.ClassDef) -> list[str]:
    found: list[str] = []
    for method in node.body:
        if not isinstance(method, ast.FunctionDef):
            continue
        for call in ast.walk(method):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "exec":
                found.append(_command(method, call))
    return found


def _command(method: ast.FunctionDef, call: ast.Call) -> str:
    types = {argument.arg: _python_kind(argument.annotation) for argument in method.args.args}
    arguments = "".join(types[argument.id] for argument in call.args[1:] if isinstance(argument, ast.Name))
    text = f"{_name(call.args[0])}({arguments})"
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if "input_stream" in keywords:
        text += f"<{types['input_stream']}"
    for keyword, sign in (("output_type", ">"), ("return_type", "=")):
        if keyword in keywords:
            text += f"{sign}{_python_kind(keywords[keyword])}"
    return text


def _python_kind(annotation: ast.expr | None) -> str:
    return _PYTHON_KINDS[annotation.id] if isinstance(annotation, ast.Name) and annotation.id != "self" else ""


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef:
    return next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name)


def _name(expression: ast.expr) -> str:
    """Of ``name + ':tail'`` or ``'tail'``."""
    tail = expression.right if isinstance(expression, ast.BinOp) else expression
    if not isinstance(tail, ast.Constant):
        raise MisuseError(f"{_MODULE}: a name that is not understood: {ast.unparse(expression)}")
    return str(tail.value).removeprefix(":")


if __name__ == "__main__":
    main()
