"""What a program may import: signatures and docstrings of the public names, read without running them."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import llamafund_chain

_HEAD = """\
# Python API

<!-- Made by scripts/export_reference.py from the docstrings. Do not edit. -->

What `llamafund_chain` hands out is what programs may rely on. Everything else may move.
"""
_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):$")
_ENTRY = re.compile(r"^ {4}(\*{0,2}\w+(?: \([^)]*\))?): (.*)$")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for name in sorted(llamafund_chain.__all__, key=str.lower):
        thing = getattr(llamafund_chain, name)
        node = _definition(thing)
        yield f"## `{name}`\n"
        yield f"From `{thing.__module__}`.\n"
        if isinstance(node, ast.ClassDef):
            yield from _class(thing, node)
        else:
            yield from _function(node, name)


def _definition(thing: type | object) -> ast.ClassDef | _Function:
    """Where a class or function is defined in its module."""
    file = inspect.getsourcefile(importlib.import_module(thing.__module__))
    assert file is not None
    name = thing.__name__  # type: ignore[attr-defined]
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise LookupError(f"{name} is not defined in {file}")


def _class(thing: type, node: ast.ClassDef) -> Iterator[str]:
    yield _prose(ast.get_docstring(node) or "")
    yield ""
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
    shown = [f"{ast.unparse(one)}" for one in fields if not one.target.id.startswith("_")]  # type: ignore[union-attr]
    if shown:
        yield f"Fields: {', '.join(f'`{one}`' for one in shown)}.\n"
    for method in _methods(thing):
        yield from _function(method, f"{thing.__name__}.{method.name}")


def _methods(thing: type) -> Iterator[_Function]:
    """The public methods of a class and of its own bases in this package, each once."""
    seen: set[str] = set()
    for base in thing.__mro__:
        if not base.__module__.startswith("llamafund_"):
            continue
        node = _definition(base)
        assert isinstance(node, ast.ClassDef)
        for one in node.body:
            if isinstance(one, ast.FunctionDef) and not one.name.startswith("_") and one.name not in seen:
                seen.add(one.name)
                yield one


def _function(node: _Function, name: str) -> Iterator[str]:
    marks = {ast.unparse(one).partition("(")[0] for one in node.decorator_list}
    value = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if marks & {"property", "cached_property", "functools.cached_property"}:
        yield f"**`{name}{value.replace(' ->', ':')}`**\n"
    else:
        taken = node.args
        for some in (taken.posonlyargs, taken.args):
            if some and some[0].arg in ("self", "cls"):
                del some[0]
        yield f"**`{name}({ast.unparse(taken)}){value}`**\n"
    yield _prose(ast.get_docstring(node) or "")
    yield ""


def _prose(text: str) -> str:
    """A docstring in Google's style as Markdown."""
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        heading = _SECTION.match(line)
        if heading:
            section = heading[1]
            lines += [f"{section}:", ""]
            continue
        entry = _ENTRY.match(line) if section in ("Args", "Attributes", "Raises") else None
        if entry:
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        elif section and line.startswith("    "):
            lines.append(f"  {line.strip()}" if section in ("Args", "Attributes", "Raises") else line.strip())
        else:
            section = section if not line else ""
            lines.append(line)
    return "\n".join(lines).strip()
