"""What keeps secrets from being written anywhere: no core file of a process that has a key, no address with a token."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterable
from urllib.parse import urlsplit

_PR_SET_DUMPABLE = 4
_LONGEST_WORD = 15
"""Letters of a path's part that is still no secret: providers of nodes give out tokens of 20 and more."""

_ADDRESS = re.compile(r"(?:https?|postgresql\+psycopg)://[^\s'\"<>]+")
_FOLLOWING_HOST = re.compile(r"((?:https?|postgresql\+psycopg)://)(?:[^\s/'\"<>@]*@)?([^\s/?#'\"<>]+)[/?#][^\s'\"<>)]*")
_URLLIB3 = re.compile(r"(with url: )[^\s)]+")


def keep_out_of_core_files() -> None:
    """Let this process, which is about to have a key, leave no memory behind when it crashes.

    Others of the same user can no longer attach to it either. A program that it starts is as before.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform.startswith("linux"):
        import ctypes

        # A handler of core files, such as systemd's, ignores the limit.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def tokens_in(words: Iterable[str]) -> tuple[str, ...]:
    """What may be secret in the addresses among a command's words: passwords, queries, and long parts of paths.

    Args:
        words: Arguments and variables.

    Returns:
        The longest first.
    """
    found: set[str] = set()
    for address in (match[0] for word in words for match in _ADDRESS.finditer(word)):
        try:
            parts = urlsplit(address)
        except ValueError:
            continue
        user, _, host = parts.netloc.rpartition("@")
        found |= {user, *user.split(":"), parts.query, parts.fragment} if host else set()
        found |= {part for part in parts.path.split("/") if len(part) > _LONGEST_WORD}
    return tuple(sorted((one for one in found if one), key=len, reverse=True))


def without_tokens(text: str, tokens: Iterable[str]) -> str:
    """A text without secrets that are known.

    Args:
        text: Any text.
        tokens: From `tokens_in`.
    """
    for token in tokens:
        text = text.replace(token, "…")
    return text


def without_paths(text: str) -> str:
    """A traceback in which addresses end at their host: a node's path is often a token."""
    return _URLLIB3.sub(r"\1…", _FOLLOWING_HOST.sub(r"\1\2/…", text))
