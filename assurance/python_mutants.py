"""Prints the faults that cosmic-ray can put into one Python file, one JSON array a line.

A program for the environment of the tools, not for the project's: `.venv/assurance/bin/python python_mutants.py FILE`.
A line is `[operator, first line, first column, last line, last column, new text of the file]`.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

COMPARISONS = ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt", "Eq_NotEq", "NotEq_Eq")
IDENTITY = ("Is_IsNot", "IsNot_Is")
ARITHMETIC = (
    "Add_Sub",
    "Sub_Add",
    "Mul_FloorDiv",
    "FloorDiv_Mul",
    "Mod_Mul",
    "Pow_Mul",
    "BitOr_BitAnd",
    "BitAnd_BitOr",
)
CHOSEN = frozenset(
    [
        *(f"ReplaceComparisonOperator_{name}" for name in (*COMPARISONS, *IDENTITY)),
        *(f"ReplaceBinaryOperator_{name}" for name in ARITHMETIC),
        *("ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_USub", "AddNot"),
        *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
        *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer"),
        "ZeroIterationForLoop",
    ]
)
"""The operators of cosmic-ray: the boundary moved by one, and the opposite. Left out are its many other exchanges of
one operator for another, which the same tests notice, and the removal of decorators, which mostly breaks the import."""

Position = tuple[int, int]


def faults(code: str) -> Iterator[tuple[str, Position, Position, str]]:
    """Each fault: its operator, where it begins and ends (line from 1, column from 0), and the whole text with it."""
    tree = get_ast(code)
    silent = list(_silent(code))
    for name in operator_names():
        short = name.partition("/")[2]
        if short not in CHOSEN:
            continue
        operator = get_operator(name)()
        places = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, (start, end) in enumerate(places):
            if not any(first <= start and end <= last for first, last in silent):
                yield short, start, end, mutate_code(code, operator, occurrence)


def _silent(code: str) -> Iterator[tuple[Position, Position]]:
    """Where types, decorators and immutability stand, which say what something is and decide nothing."""
    for node in ast.walk(ast.parse(code)):
        parts = [getattr(node, name, None) for name in ("annotation", "returns")]
        parts += getattr(node, "decorator_list", ())
        if isinstance(node, ast.keyword) and node.arg == "frozen":
            parts.append(node.value)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            parts.append(node.test)
        for part in parts:
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


if __name__ == "__main__":
    for operator, start, end, text in faults(Path(sys.argv[1]).read_text(encoding="utf-8")):
        print(json.dumps([operator, *start, *end, text]))
