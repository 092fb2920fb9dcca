"""Files that should not be published: secrets, and pointers that stand in for files that were never fetched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing.listing import TreeListing
from llamafund_chain.evidence.manifests.paths import shown_path
from llamafund_chain.files import open_descriptor, read_error

MAX_EXAMINED = 8 * 1024 * 1024
"""Most bytes of a text that are searched: notebooks and logs with secrets in them are no larger, documents may be."""

_SMALL = 64 * 1024
"""Bytes by which a binary file is known, and most bytes of a key file."""

_AROUND = 4096
"""Most bytes of a secret, and of a line before it. Longer ones are cut, and found all the same."""

_POINTER_BYTES = 1024
"""Bytes of the longest pointer, by the specification of Git LFS."""

_SECRET_NAMES = (
    *(".env", ".netrc", "_netrc", ".pypirc", ".git-credentials", ".pgpass", ".htpasswd", "kaggle.json"),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
    *(".env.*", "*.key", "*.ppk", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "utc--*--*"),
)
_HARMLESS_NAMES = (".env.example", ".env.sample", ".env.template", ".env.dist")
_SECRET_FOLDERS = frozenset({".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker"})

_TOKENS: tuple[tuple[str, bytes], ...] = (
    ("a private key", rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("a Hugging Face token", rb"\b(?:hf|api_org)_[A-Za-z]{34}\b"),
    ("a GitHub token", rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})"),
    ("a GitLab token", rb"\bgl(?:pat|ptt|rt|dt|soat|cbt)-[A-Za-z0-9_-]{20,}"),
    ("an AWS access key", rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("a Google API key", rb"\bAIza[A-Za-z0-9_-]{35}"),
    ("an OpenAI or Anthropic key", rb"\bsk-(?:ant-[a-z0-9]+-|proj-|svcacct-|admin-)[A-Za-z0-9_-]{20,}"),
    ("an OpenAI key", rb"\bsk-[A-Za-z0-9]{48}\b"),
    ("a Slack token", rb"\bxox[abeoprs]-[A-Za-z0-9-]{20,}"),
    ("a Stripe key", rb"\b[rs]k_live_[A-Za-z0-9]{20,}"),
    ("an npm token", rb"\bnpm_[A-Za-z0-9]{36}\b"),
    ("a PyPI token", rb"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    ("a line of a credentials file", rb"(?m:^https?://[^\s@]+[ \t]+(?:bearer|basic)[ \t]+\S{8,})"),
)
_ANY_TOKEN = re.compile(b"|".join(b"(" + pattern + b")" for _, pattern in _TOKENS))
# Each of these begins or contains one; looking for plain bytes first is several times faster.
_HINTS = re.compile(
    rb"PRIVATE KEY|hf_|api_org_|gh[pousr]_|github_pat_|gl[a-z]{2,4}-|AKIA|ASIA|AIza|sk-|xox|_live_|npm_|pypi-"
    rb"|bearer|basic"
)
_GIT_CREDENTIALS = re.compile(rb"https?://[^/\s:@]*:[^/\s@]+@|https?://[^/\s@]{20,}@|(?i:extraheader)[ \t]*=")

_POINTERS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "Git-LFS", "git lfs pull"),
    (b"version https://hawser.github.com/spec/", "Git-LFS", "git lfs pull"),
    (b"/annex/objects/", "git-annex", "git annex get ."),
)


@dataclass(frozen=True)
class Suspect:
    """A file that looks like a secret.

    Attributes:
        path: Relative to the folder.
        looks_like: What it looks like. Never says what is in it.
    """

    path: str
    looks_like: str


def pointer_kind(data: bytes) -> tuple[str, str] | None:
    """What kind of pointer a file's bytes are, and the command that fetches the file; `None` if they are none."""
    if len(data) <= _POINTER_BYTES:
        for start, kind, command in _POINTERS:
            if data.startswith(start):
                return kind, command
    return None


def refuse_suspects(listing: TreeListing, *, allow_secrets: bool = False) -> None:
    """Refuse files that should not be published, before anything is.

    Args:
        listing: The files.
        allow_secrets: Whether files that look like secrets may go out.

    Raises:
        UsageError: Some are pointers to files that were never fetched, or look like secrets.
        LlamafundError: A file cannot be read.
    """
    secrets: list[Suspect] = []
    pointers: list[tuple[str, str, str]] = []
    for number, size in enumerate(listing.sizes):
        path = listing.name(number)
        looks_like = None if allow_secrets else _name_of_secret(path)
        if looks_like is None and size and not (allow_secrets and size > _POINTER_BYTES):
            data = _read(listing.path(number), size)
            found = pointer_kind(data)
            if found is not None:
                pointers.append((path, *found))
            elif not allow_secrets:
                looks_like = _secret_in(path, data)
        if looks_like is not None:
            secrets.append(Suspect(path, looks_like))
    if pointers:
        raise _pointers_error(pointers)
    if secrets:
        raise _secrets_error(secrets)


def _name_of_secret(path: str) -> str | None:
    *folders, name = path.lower().split("/")
    if name not in _HARMLESS_NAMES and any(fnmatchcase(name, pattern) for pattern in _patterns_for(name)):
        return "a secret, by its name"
    if folders and not _SECRET_FOLDERS.isdisjoint(folders):
        return "a secret, by its folder"
    return None


def _patterns_for(name: str) -> Iterator[str]:
    # Most names need no comparison with a pattern.
    for pattern in _SECRET_NAMES:
        if "*" in pattern or pattern == name:
            yield pattern


def _secret_in(path: str, data: bytes) -> str | None:
    if len(data) <= _SMALL and b'"ciphertext"' in data and b'"kdf' in data:
        return "a wallet's key file"
    if path.endswith((".git/config", ".gitconfig", ".gitmodules")) and _GIT_CREDENTIALS.search(data):
        return "Git's settings with credentials"
    for begin, end in _near_hints(data):
        near = _ANY_TOKEN.search(data, begin, end)
        match = None if near is None else _ANY_TOKEN.match(data, near.start())
        if match is not None and match.lastindex is not None:
            line = data.count(b"\n", 0, match.start()) + 1
            return f"{_TOKENS[match.lastindex - 1][0]}, line {line}"
    return None


def _near_hints(data: bytes) -> Iterator[tuple[int, int]]:
    """Where a token can be, as beginnings and ends. The whole pattern is ten times slower than the hints."""
    begin = end = 0
    for hint in _HINTS.finditer(data):
        if hint.start() - _AROUND > end:
            if end:
                yield begin, end
            begin = max(hint.start() - _AROUND, 0)
        end = hint.end() + _AROUND
    if end:
        yield begin, end


def _read(path: str, size: int) -> bytes:
    """What is searched of a file: nothing of a binary one."""
    try:
        descriptor, _ = open_descriptor(path)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            data = file.read(min(size, _SMALL))
            if b"\0" in data:
                return b""
            while len(data) < min(size, MAX_EXAMINED) and (more := file.read(MAX_EXAMINED - len(data))):
                data += more
            return data
    except OSError as error:
        raise read_error(path, error) from error


def _pointers_error(found: Sequence[tuple[str, str, str]]) -> UsageError:
    path, kind, command = found[0]
    others = f", and so are {len(found) - 1} other files" if len(found) > 1 else ""
    return UsageError(
        f"{shown_path(path)!r} is a {kind} pointer{others}",
        "It only names a file that was not fetched; published, it would stand for bytes that nobody gets",
        f"Run in that folder: {command}",
    )


def _secrets_error(found: Sequence[Suspect], shown: int = 5) -> UsageError:
    names = "; ".join(f"{shown_path(suspect.path)!r} ({suspect.looks_like})" for suspect in found[:shown])
    more = f"; and {len(found) - shown} more" if len(found) > shown else ""
    what = "A file looks like a secret" if len(found) == 1 else f"{len(found)} files look like secrets"
    return UsageError(
        f"{what}: {names}{more}",
        "Nothing was published, because nobody can take back what was",
        "Move them away or name them in .llamafundignore; if they may be public, add --allow-secrets",
    )
