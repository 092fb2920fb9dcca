"""Paths are bytes: none is changed, none leaves its tree, and a person sees every character of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.evidence.manifests import check_sorted_unique, look_alikes, shown_path
from llamafund_chain.evidence.manifests.paths import PATH_PATTERN, PathOrder, check_relative_path


def naive(paths: Sequence[str]) -> bool:
    """Whether paths are a tree in order, said the long way."""
    encoded = [path.encode() for path in paths]
    if encoded != sorted(set(encoded)):
        return False
    return not any(other.startswith(path + b"/") for path in encoded for other in encoded)


@settings(max_examples=500)
@given(st.lists(st.text(alphabet="ab-/é\n", min_size=1, max_size=6), max_size=8), st.booleans())
def test_the_order_of_paths_is_checked_in_one_pass_as_if_all_were_compared(paths: list[str], in_order: bool) -> None:
    if in_order:
        paths = sorted(set(paths), key=str.encode)
    try:
        check_sorted_unique(paths)
    except ValueError:
        assert not naive(paths)
    else:
        assert naive(paths)


@settings(max_examples=500)
@given(st.text(alphabet="a./\\\x00\n\u00e9", max_size=8) | st.text(max_size=12))
def test_the_pattern_in_the_schemas_means_the_same_as_the_check(path: str) -> None:
    try:
        check_relative_path(path)
        safe = True
    except ValueError:
        safe = False
    assert bool(re.search(PATH_PATTERN, path)) == safe


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "the path is empty"),
        ("/a", "path '/a' begins or ends with a slash, or has two in a row"),
        ("a\ud800", r"path 'a\ud800' is not valid Unicode"),
        ("y" * 2000, f"path '{'y' * 80}'… is 2000 bytes long; at most 1024 are portable"),
        ("y" * 256, f"path '{'y' * 80}'… has a name of more than 255 bytes"),
    ],
)
def test_what_is_wrong_with_a_path_is_told(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        check_relative_path(path)


def test_only_the_paths_that_the_next_one_may_lie_in_are_remembered() -> None:
    order = PathOrder()
    order.add("a")
    for number in range(1000):
        order.add(f"a{number:04}")
    assert order._open == [b"a", b"a0999"]


@pytest.mark.parametrize(
    "path",
    [
        "a/b.txt",
        "-rf",
        "a b",
        "été/größe.txt",
        "训练/数据.txt",
        "модель",
        "データ",
        "مجموعة",
        "naïve (1).json",
        "👍",
        "Ελλάδα",
    ],
)
def test_an_honest_name_is_shown_as_it_is(path: str) -> None:
    assert shown_path(path) == path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("a\nb", r"a\u{a}b"),
        ("\x1b[2Jx", r"\u{1b}[2Jx"),
        ("\x7f\x9b", r"\u{7f}\u{9b}"),
        ("photo\u202egpj.exe", r"photo\u{202e}gpj.exe"),
        ("a\u200bb", r"a\u{200b}b"),
        ("a\u2066b\u2069", r"a\u{2066}b\u{2069}"),
        ("a\u3164b", r"a\u{3164}b"),
        ("a\ufe0fb", r"a\u{fe0f}b"),
        ("a\u00a0b", r"a\u{a0}b"),
        ("a ", r"a\u{20}"),
        (" a/ b", r"\u{20}a/\u{20}b"),
        ("e\u0301", r"e\u{301}"),
        ("\u212b", r"\u{212b}"),
        ("\u1112\u1161\u11ab", r"\u{1112}\u{1161}\u{11ab}"),
        ("\uff41", r"\u{ff41}"),
        ("m\u043edel.txt", r"m\u{43e}del.txt"),
        ("\u0430\u0440\u0440", r"\u{430}\u{440}\u{440}"),
        ("t\u03bfkens", r"t\u{3bf}kens"),
        ("a\\u{62}", r"a\u{5c}u{62}"),
        ("\ud800", r"\u{d800}"),
        ("\U000e0041", r"\u{e0041}"),
    ],
)
def test_a_name_in_which_something_hides_is_shown_escaped(path: str, shown: str) -> None:
    assert shown_path(path) == shown


@settings(max_examples=500)
@given(st.text(max_size=20), st.text(max_size=20))
def test_two_paths_are_never_shown_alike_and_nothing_unprintable_is_shown(one: str, other: str) -> None:
    assert (shown_path(one) == shown_path(other)) == (one == other)
    assert shown_path(one).isprintable()
    assert unicodedata.normalize("NFC", shown_path(one)) == shown_path(one)


@settings(max_examples=300)
@given(st.text(max_size=10))
def test_both_normal_forms_of_a_name_are_two_paths_and_look_different(name: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    if composed == decomposed:
        return
    check_sorted_unique(sorted((f"x{composed}", f"x{decomposed}"), key=str.encode))
    assert shown_path(composed) != shown_path(decomposed)
    assert look_alikes([composed, decomposed]) == [(composed, decomposed)]


def test_a_long_name_is_cut_with_its_length_told() -> None:
    assert shown_path("x" * 5000, limit=10) == "x" * 10 + "… (4990 more characters)"
    assert shown_path("x" * 1200) == "x" * 1200
    assert shown_path("x" * 1201) == "x" * 1200 + "… (1 more characters)"


INVISIBLE = (
    *((0x00AD,) * 2, (0x034F,) * 2, (0x061C,) * 2, (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x206F), (0x2800,) * 2, (0x3164,) * 2),
    *((0xFE00, 0xFE0F), (0xFEFF,) * 2, (0xFFA0,) * 2, (0xE0100, 0xE01EF)),
)
"""The first and the last of each range of characters that show nothing."""


def test_what_shows_nothing_tells_no_two_names_apart_and_its_neighbours_do() -> None:
    hidden = {point for first, last in INVISIBLE for point in range(first, last + 1)}
    beside = {point for first, last in INVISIBLE for point in (first - 1, last + 1)} - hidden
    for point in sorted(hidden | beside):
        pair = ("ab", f"a{chr(point)}b")
        assert look_alikes(pair) == ([pair] if point in hidden else []), hex(point)
        if point in hidden:
            assert shown_path(pair[1]) == f"a\\u{{{point:x}}}b"


def test_paths_that_could_be_taken_for_one_another_are_named() -> None:
    assert look_alikes(["README.md", "Readme.md", "a", "b", "\u0430", "model", "mod\u200bel", "\uff41"]) == [
        ("README.md", "Readme.md"),
        ("a", "\u0430", "\uff41"),
        ("model", "mod\u200bel"),
    ]
    assert look_alikes(["a/x", "b/x", "ä", "a"]) == []
