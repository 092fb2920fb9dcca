r"""Paths of files in a manifest: which ones are allowed, in what order, and how a person sees them.

A path is its bytes in UTF-8. It is never normalised: file systems can hold `é` as one character and as two, and these
are two files. Where a person could take one for the other, `shown_path` writes the characters as `\u{…}` and
`look_alikes` names the pair.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

MAX_PATH_BYTES = 1024
"""Bytes of the longest path, in UTF-8."""

MAX_COMPONENT_BYTES = 255
"""Bytes of the longest file or directory name, in UTF-8, as in common file systems."""

PATH_PATTERN = r"^(?!\.{1,2}(?:/|(?![\s\S])))[^/\\\u0000]+(?:/(?!\.{1,2}(?:/|(?![\s\S])))[^/\\\u0000]+)*(?![\s\S])"
"""The rules of `check_relative_path` without lengths, as an ECMA-262 regular expression for JSON Schema."""

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Characters of other categories that are invisible: grapheme joiner, Hangul and Khmer fillers, Mongolian and
# other variation selectors, the empty Braille pattern (Unicode's Default_Ignorable_Code_Point, and U+2800). Two more
# fillers have one of these for their compatibility form.
_INVISIBLE = frozenset(
    map(
        chr,
        (
            0x034F,
            0x115F,
            0x1160,
            0x17B4,
            0x17B5,
            *range(0x180B, 0x1810),
            0x2800,
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
# Scripts with letters that look like Latin ones. Beside a Latin letter, such a letter is probably a trick.
_LATIN_LIKE_SCRIPTS = frozenset({"CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "LISU", "TIFINAGH", "DESERET"})
# A name whose letters are all among these could be taken for a Latin one (UTS 39, whole-script confusable).
_LATIN_TWINS = str.maketrans(
    "асԁеһіјӏорԛѕԝхуԍАВЕЅЗІЈКМНОРСТХУԌԚԜαγικνορυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧօսհոցզ",
    "acdehijlopqswxygABES3IJKMHOPCTXYGQWayiknopuxABEZHIKMNOPTYXouhngq",
)


class PathOrder:
    """Takes a tree's paths one after another, and refuses the first that is out of order.

    It only remembers the previous path and its prefixes, however many paths there are.
    """

    def __init__(self) -> None:
        self._before: bytes | None = None
        # Files whose paths are prefixes of the previous one, shortest first. Only these can turn out to be directories.
        self._open: list[bytes] = []
        self._open_set: set[bytes] = set()

    def add(self, path: str) -> None:
        """Take the next path.

        Raises:
            ValueError: It does not follow the previous path in the order of UTF-8 bytes, or is inside a file.
        """
        encoded = path.encode("utf-8")
        if self._before is not None and self._before >= encoded:
            raise ValueError(f"paths must be sorted and distinct; {path!r} follows {self._before.decode()!r}")
        self._before = encoded
        while self._open and not encoded.startswith(self._open[-1]):
            self._open_set.discard(self._open.pop())
        if self._open:
            slash = encoded.find(b"/")
            while slash != -1:
                if encoded[:slash] in self._open_set:
                    raise ValueError(f"path {path!r} lies inside the file {encoded[:slash].decode()!r}")
                slash = encoded.find(b"/", slash + 1)
        self._open.append(encoded)
        self._open_set.add(encoded)


def check_relative_path(path: str) -> None:
    """Refuse a path that could leave the tree or that two systems would read differently.

    Line breaks and other control characters are allowed, as in file systems; `shown_path` makes them visible.

    Raises:
        ValueError: It is empty, absolute, not normalised, longer than 1024 bytes, or has a component that is
            `.`, `..`, empty, longer than 255 bytes, or contains NUL or a backslash.
    """
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"path {path[:MAX_PATH_BYTES]!r} is not valid Unicode") from error
    if len(encoded) > MAX_PATH_BYTES:
        raise ValueError(f"path {path[:80]!r}… is {len(encoded)} bytes long; at most {MAX_PATH_BYTES} are portable")
    if b"\x00" in encoded or b"\\" in encoded:
        raise ValueError(f"path {path!r} has a NUL or a backslash")
    for component in encoded.split(b"/"):
        if not component:
            said = f"path {path!r} begins or ends with a slash, or has two in a row" if path else "the path is empty"
            raise ValueError(said)
        if component in (b".", b".."):
            raise ValueError(f"path {path!r} has . or .. for a name, and could lead out of the tree")
        if len(component) > MAX_COMPONENT_BYTES:
            raise ValueError(f"path {path[:80]!r}… has a name of more than {MAX_COMPONENT_BYTES} bytes")


def check_sorted_unique(paths: Iterable[str]) -> None:
    """Refuse paths that are not in strictly ascending order of UTF-8 bytes, or of which one is inside another.

    Raises:
        ValueError: Two neighbours are equal or in the wrong order, or a file is also a directory.
    """
    order = PathOrder()
    for path in paths:
        order.add(path)


def shown_path(path: str, limit: int = 1200) -> str:
    r"""A path for a person to read: every character is visible, and none passes for another.

    Args:
        path: From anybody; need not be a valid path.
        limit: Number of characters to keep; the rest is replaced by its count.

    Returns:
        Printable ASCII is unchanged, and so are letters of other scripts that cannot be taken for others. Written as
        `\u{…}` are: control, format, private and unassigned characters, white space other than a space inside a name,
        invisible characters, compatibility forms (such as full-width letters), every character beyond ASCII in a name
        that is not in normal form C, and letters of look-alike scripts beside Latin letters. So is the backslash, so
        that no name can imitate an escape.
    """
    shown = "/".join(map(_shown_component, path[:limit].split("/")))
    if len(path) > limit:
        shown += f"… ({len(path) - limit} more characters)"
    return shown


def look_alikes(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of paths that differ only in normal form, letter case, or in characters that look the same.

    Some file systems cannot hold two such files side by side, and people may confuse them.

    Args:
        paths: Any, distinct.

    Returns:
        Groups of two or more, each in the given order.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[_skeleton(path)].append(path)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _shown_component(name: str) -> str:
    if name.isascii() and name.isprintable() and "\\" not in name and name.strip(" ") == name:
        return name
    decomposed = unicodedata.normalize("NFC", name) != name
    twisted = _mixes_scripts(name)
    inner = range(len(name) - len(name.lstrip(" ")), len(name.rstrip(" ")))
    shown = []
    for place, character in enumerate(name):
        hidden = (
            (not character.isascii() and (decomposed or _is_odd(character)))
            or character == "\\"
            or (character == " " and place not in inner)
            or (character != " " and unicodedata.category(character) in _UNPRINTABLE)
            or (twisted and _script(character) in _LATIN_LIKE_SCRIPTS)
        )
        shown.append(f"\\u{{{ord(character):x}}}" if hidden else character)
    return "".join(shown)


def _is_odd(character: str) -> bool:
    return character in _INVISIBLE or unicodedata.normalize("NFKC", character) != character


def _mixes_scripts(name: str) -> bool:
    letters = [character for character in name if character.isalpha()]
    foreign = [character for character in letters if _script(character) in _LATIN_LIKE_SCRIPTS]
    latin = any(_script(character) == "LATIN" for character in letters)
    return bool(foreign) and (latin or all(ord(character) in _LATIN_TWINS for character in foreign))


def _script(character: str) -> str:
    # Python has no script property, but a letter's name begins with its script.
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""


def _skeleton(path: str) -> str:
    if path.isascii():
        return path.casefold()
    folded = unicodedata.normalize("NFKC", path)
    seen = "".join(
        character for character in folded if character not in _INVISIBLE and unicodedata.category(character) != "Cf"
    )
    return unicodedata.normalize("NFKC", seen.translate(_LATIN_TWINS).casefold())
