"""What a program may import: small, loaded on first use, the same for type checkers. docs/reference/api.md pins it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import llamafund_chain

ROOT = Path(__file__).resolve().parents[1]


def test_type_checkers_and_programs_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "llamafund_chain" / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        name.asname or name.name: f"{node.module}:{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llamafund_chain.")
        for name in node.names
    }
    places = {
        name: f"llamafund_chain.{place}" if ":" in place else f"llamafund_chain.{place}:{name}"
        for name, place in llamafund_chain._PLACES.items()
    }
    assert imported == places
    assert sorted(places) == sorted(llamafund_chain.__all__)


def test_a_name_is_never_hidden_by_a_package_of_that_name() -> None:
    modules = {path.stem for path in (ROOT / "llamafund_chain").iterdir()}
    assert modules.isdisjoint(llamafund_chain.__all__)


def test_importing_the_package_loads_nothing_and_an_unknown_name_is_refused() -> None:
    code = "import sys; before = set(sys.modules); import llamafund_chain; print(*(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["llamafund_chain"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = llamafund_chain.nothing


def test_examples_import_only_what_is_public() -> None:
    private = [
        f"{path.name}: {node.module}"
        for path in sorted((ROOT / "examples").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llamafund_chain.")
    ]
    assert private == []
