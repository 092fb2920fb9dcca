"""Which faults are put into the contracts, and how their fates are judged."""

import pytest

from assurance.harness import BrokenToolError
from assurance.mutation import Mutant, judge, mutants, read_survivors, run

CODE = b"contract A { function f(uint a) { if (a < 1) { a += 2; } } }"


def _src(text, inside=CODE):
    start = inside.index(text)
    return f"{start}:{len(text)}:0"


CONDITION = {
    "nodeType": "BinaryOperation",
    "operator": "<",
    "src": _src(b"a < 1"),
    "leftExpression": {"nodeType": "Identifier", "src": _src(b"a < 1").replace(":5:", ":1:")},
    "rightExpression": {"nodeType": "Literal", "src": _src(b"1)").replace(":2:", ":1:")},
}
TREE = {
    "nodeType": "FunctionDefinition",
    "src": _src(CODE[13:-2]),
    "body": [
        {"nodeType": "IfStatement", "src": _src(b"if (a < 1) { a += 2; }"), "condition": CONDITION},
        {"nodeType": "ExpressionStatement", "src": _src(b"a += 2")},
    ],
}
FAULT = Mutant("contracts/A.sol", 38, "<", "<=", "if (a < 1) {", 1)


def test_boundaries_conditions_and_statements_are_changed():
    found = [(mutant.old, mutant.new) for mutant in mutants("contracts/A.sol", CODE, TREE)]
    assert sorted(found) == [
        ("<", "<="),
        ("<", ">="),
        ("a += 2;", "{}"),
        ("a < 1", "false"),
        ("a < 1", "true"),
    ]


def test_nothing_outside_functions_is_changed():
    assert mutants("contracts/A.sol", CODE, CONDITION) == []


def test_loops_keep_their_counting():
    tree = {"nodeType": "FunctionDefinition", "src": "0:9:0", "loopExpression": TREE["body"][1]}
    assert mutants("contracts/A.sol", CODE, tree) == []


def test_a_survivor_without_a_reason_breaks_the_property():
    result = judge({FAULT: "survived"}, {})
    assert not result.holds
    assert "contracts/A.sol:1" in result.detail


def test_explained_survivors_still_count_against_the_score():
    key = (FAULT.source, FAULT.line, FAULT.old, FAULT.new)
    assert not judge({FAULT: "survived"}, {key: "equal"}).holds
    killed = {Mutant(FAULT.source, start, "<", ">=", FAULT.line, 1): "killed" for start in range(19)}
    assert judge({FAULT: "survived", **killed}, {key: "equal"}).holds


def test_mutants_that_do_not_compile_do_not_count():
    assert judge({FAULT: "invalid"}, {}).cases == 0


def test_a_survivor_needs_a_reason(tmp_path):
    path = tmp_path / "survivors.toml"
    path.write_text('[[survivor]]\nsource = "a"\nline = "b"\nold = "c"\nnew = "d"\n')
    with pytest.raises(BrokenToolError, match="reason"):
        read_survivors(path)


def test_there_is_no_short_version():
    assert list(run(short=True)) == []
