"""Text that is no YAML or JSON: where, what and what to do, in none of the readers' own phrases."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.mistakes.syntax import DocumentError
from llamafund_chain.strict_yaml import load_json, load_yaml

QUOTE = "Put the text in quotes"
INDENTATION = "Check the indentation, and that every quote and bracket is closed"
PHRASES = re.compile(
    r"codec|mapping|scalar|node|block end|flow|token|Expecting|delimiter|Extra data|property|char \d|None|NoneType"
    r"|unicode string|ordinal|str\b|int\b"
)


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        (
            "a:\n\tb: 1\n",
            "line 2, column 1: a tab is used for indentation, where only spaces may be",
            "Replace it with spaces",
        ),
        (
            "a: 1\ngoal:0.1\ncap: 1\n",
            "line 2, column 1: there is no colon with a space after the key",
            "Write it as `key: value`; text of several lines needs quotes",
        ),
        (
            "title: A: small\n",
            "line 1, column 9: a colon is where no key can be",
            "Check the indentation; put text with a colon in quotes",
        ),
        ("a: @b", "line 1, column 4: text may not begin with @", QUOTE),
        ("a: %b", "line 1, column 4: text may not begin with %", QUOTE),
        ("a: * b", "line 1, column 5: text may not begin with & or *", QUOTE),
        ("a: !<x y> b", "line 1, column 7: text may not begin with !", QUOTE),
        ("a: ]b", "line 1, column 4: a value is missing before ]", QUOTE),
        ("? ? b", "line 1, column 3: a key is not text", "Put it in quotes"),
        ("a: - b", "line 1, column 4: an entry of a list (-) cannot be here", INDENTATION),
        ("- a\nb: 1\n", "line 2, column 1: this does not fit what is before it", INDENTATION),
        ("a: 'x\nb: 1\n", "line 1, column 4: text in quotes has no end", "Close the quotes"),
        ('a: "b\n---\nc"', "line 1, column 4: text in quotes is cut short", "Close the quotes"),
        (r'a: "\q"', r"line 1, column 4: \q is not an escape", r"Write a backslash in double quotes as \\"),
        (r'a: "\xZ"', "line 1, column 4: an escape has fewer than 2 hexadecimal digits", "Complete it"),
        (r'a: "\ud800"', "line 1, column 4: an escape stands for half of a character", "Write the character itself"),
        (r'a: "\UFFFFFFFF"', "an escape or a version is too large", r"Check its escapes, such as \U0001F999"),
        ("a: | b", "line 1, column 6: after | or > the text must begin on the next line", "Move it there"),
        (
            "a: [1, 2\n",
            "line 1, column 4: a list in brackets is not well formed",
            "Put commas between entries, and ] at the end",
        ),
        (
            "a: {b",
            "line 1, column 4: a section in braces is not well formed",
            "Put commas between keys, and } at the end",
        ),
        ("a: 1\n---\nb: 1\n", "line 2, column 1: a second document begins here", "Remove the line ---"),
        (
            "a: 1\nb: x\0y",
            "line 2: the character U+0000 cannot be shown",
            "Remove it, or check that it is the right file",
        ),
    ],
)
def test_a_mistake_in_yaml_is_named_with_its_line_and_a_remedy(text: str, said: str, remedy: str) -> None:
    with pytest.raises(DocumentError) as refusal:
        load_yaml(text)
    assert (str(refusal.value), refusal.value.remedy) == (said, remedy)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"a", "line 1, column 1: a value is missing here"),
        (b'{"a": 1,\n b: 2}', "line 2, column 2: a key in double quotes is missing here"),
        (b'{"a" 1}', "line 1, column 6: a colon is missing after the key"),
        (b"[1 2]", "line 1, column 4: a comma or a closing bracket is missing here"),
        (b"[1] 2", "line 1, column 5: there is more after the end of the document"),
        (b'"a', "line 1, column 1: text in quotes has no end"),
        (b'"a\nb"', "line 1, column 3: text in quotes has a line break or another control character"),
        (rb'"\q"', "line 1, column 2: there is a backslash before a character that needs none"),
        (rb'"\uZZZZ"', "line 1, column 3: \\u has fewer than four hexadecimal digits"),
        (b"\xef\xbb\xbf{}", "it begins with a byte order mark"),
        (b'{"a": 1, "a": 2}', "the key 'a' occurs twice in one object"),
        (b'"\n\n\xff"', "line 3: the byte 0xff is not UTF-8 text"),
    ],
)
def test_a_mistake_in_json_is_named_with_its_line(data: bytes, said: str) -> None:
    with pytest.raises(DocumentError) as refusal:
        load_json(data)
    assert str(refusal.value) == said


def test_a_comma_too_much_is_a_mistake_in_json_for_every_python() -> None:
    for data in (b"[1,]", b'{"a": 1,}'):
        with pytest.raises(DocumentError, match=r"column \d: (there is a comma before|a value is|a key in double)"):
            load_json(data)


PIECES = ["a", ":", " ", "\n", "-", "[", "]", "{", "}", ",", "'", '"', "\\", "\\x", "#", "|", ">", "&", "*", "!", "%"]
PIECES += ["@", "`", "?", "\t", "\0", "---", "...", "<<", "1", "null", "é", "  "]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=400)
def test_no_text_whatever_brings_out_a_phrase_of_the_reader(text: str) -> None:
    for read in (load_yaml, lambda value: load_json(value.encode())):
        said = ""
        try:
            read(text)
        except DocumentError as error:
            said = str(error)
        assert not PHRASES.search(said), text
