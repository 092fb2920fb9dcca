"""Strangers' YAML and JSON: one meaning, or none."""

from __future__ import annotations

import pytest

from llamafund_chain.strict_yaml import load_json, load_yaml


def test_plain_yaml_is_read_as_a_person_reads_it() -> None:
    text = "a: 010\nb: 1.5\nc: 2001-01-01\nd: yes\ne: true\nf: [1, -2, null]\ng: '3'\nh: 1e3\n"
    assert load_yaml(text) == {
        "a": "010",
        "b": "1.5",
        "c": "2001-01-01",
        "d": "yes",
        "e": True,
        "f": [1, -2, None],
        "g": "3",
        "h": "1e3",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: &x 2\n", "line 2, column 4: names for references"),
        ("a: 1\nb: *x\n", "line 2, column 4: references"),
        ("a:\n  <<: {b: 1}\n", "line 2, column 3: merges"),
        ("a: 1\nb: !!float x\n", "line 2, column 4: tags"),
        ("a: ! 1\n", "line 1, column 4: tags"),
        ("a: 1\nb: 2\n'a': 3\n", "line 3, column 1: the key 'a' occurs twice"),
        ("a: {b: 1, c: {d: 1, d: 2}}\n", "the key 'd' occurs twice"),
        ("1: x\n", "line 1, column 1: a key is not text"),
        ("? [a]\n: x\n", "a key is not text"),
        ("[" * 5_000, "nested more than 32 deep"),
        ("- " * 5_000, "nested more than 32 deep"),
        ('a: "\\UFFFFFFFF"', "is too large"),
        ('a: "\\U7FFFFFFF"', "is too large"),
        (f"%YAML {'9' * 5_000}.1\n--- a", "is too large"),
        ("a: \x00", r"U.0000 cannot be shown"),
    ],
)
def test_yaml_with_a_second_reading_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        load_yaml(text)


def test_json_keeps_its_numbers() -> None:
    assert load_json(b'{"a": [1.5, -2e3, 1000000000000000019884624838656], "b": "]]]"}') == {
        "a": [1.5, -2000.0, 1000000000000000019884624838656],
        "b": "]]]",
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "twice in one object"),
        (b'{"a": 1, "\\u0061": 1}', "twice in one object"),
        (b"[NaN]", "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"[1e999]", "1e999 is not a number"),
        (b"1" * 5_000, "more than 78 digits"),
        (b'["' + b"\\\\" * 40 + b'", ' + b"[" * 32, "nested more than 32 deep"),
        (b"[" * 100_000, "nested more than 32 deep"),
        (b'{"a": [' * 100_000, "nested more than 32 deep"),
        ("[1]".encode("utf-16"), "0xff is not UTF-8 text"),
        (b'"' + b"x" * 3_000_000, "has no end"),
    ],
)
def test_json_with_a_second_reading_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_json(data)
