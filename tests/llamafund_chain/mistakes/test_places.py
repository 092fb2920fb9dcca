"""How a value in a document is called."""

from __future__ import annotations

import pytest

from llamafund_chain.mistakes.places import Place, line_of, named, ordinal
from llamafund_chain.strict_yaml import load_yaml_with_lines


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((), "it"),
        (("terms", "goal"), "terms.goal"),
        (("terms", "payees", 0, "share"), "share in the first entry of terms.payees"),
        (("objectives", 1), "the second entry of objectives"),
        (("parts", 0, "paths", 11), "the 12th entry of paths in the first entry of parts"),
        (("a", 2, "b", "c"), "b.c in the third entry of a"),
        ((0, 0), "the first entry of the first entry of it"),
        (("a\x1bb",), r"a\u{1b}b"),
    ],
)
def test_a_place_is_called_by_its_keys_and_never_by_a_number(place: Place, words: str) -> None:
    assert named(place) == words


@pytest.mark.parametrize(
    ("index", "word"), [(0, "first"), (9, "tenth"), (10, "11th"), (20, "21st"), (21, "22nd"), (110, "111th")]
)
def test_entries_are_counted_in_words(index: int, word: str) -> None:
    assert ordinal(index) == word


def test_each_value_of_a_yaml_document_has_its_line() -> None:
    document, lines = load_yaml_with_lines("a: 1\n\nb:\n  - c: x\n    d:\n      y\n  - [1, 2]\n")
    assert document == {"a": 1, "b": [{"c": "x", "d": "y"}, [1, 2]]}
    assert lines == {
        ("a",): 1,
        ("b",): 3,
        ("b", 0): 4,
        ("b", 0, "c"): 4,
        ("b", 0, "d"): 5,
        ("b", 1): 7,
        ("b", 1, 0): 7,
        ("b", 1, 1): 7,
    }


def test_what_is_missing_is_looked_for_where_its_section_stands() -> None:
    lines = {("terms",): 4, ("terms", "payees"): 9}
    assert line_of(("terms", "payees", 0, "share"), lines) == 9
    assert line_of(("terms", "goal"), lines) == 4
    assert line_of(("proposal",), lines) is None
    assert line_of((), lines) is None
