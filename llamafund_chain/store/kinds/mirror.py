"""Ordinary web servers and Hugging Face repositories that have the files of a manifest under their paths.

A manifest may name some in its field `mirrors`; anybody may name others. They are only hints: everything they send is
compared with the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from llamafund_chain.errors import NodeUnreachableError, UsageError, VerificationError
from llamafund_chain.evidence.manifests import FileEntry, Manifest
from llamafund_chain.http.deadline import STRIDE
from llamafund_chain.store.base import MissingContentError, check_cid
from llamafund_chain.store.http.client import Place, WebClient, is_public, place_of
from llamafund_chain.store.http.resume import ReadOnlyStore

MAX_MIRRORS = 16
"""Most mirrors of one manifest to try."""

STRIDE_SECONDS = 60.0
"""How long each `STRIDE` bytes of a file may take: the same as at a gateway."""

FILE_SECONDS = 24 * 3600.0
"""How long one file may take in all. Bytes received are kept, so the next attempt resumes."""

_HUGGING_FACE = "https://huggingface.co"
_REPOSITORY = re.compile(r"(datasets/)?[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,100})?", re.ASCII)


class MirrorStore(ReadOnlyStore):
    """A web server or Hugging Face repository, read through a manifest that says which file has which address.

    Args:
        name: `mirror:https://host/folder` or `hf:owner/name@revision`; see `check_mirror`.
        files: The files it should have.
        insecure: Allow plain HTTP to machines other than this one.
        seconds: How long each `STRIDE` bytes of a file may take.
    """

    def __init__(
        self, name: str, files: Sequence[FileEntry], *, insecure: bool = False, seconds: float = STRIDE_SECONDS
    ) -> None:
        self._name = name
        self._client = WebClient(_folder(name, insecure=insecure), seconds=seconds, stride=STRIDE, most=FILE_SECONDS)
        self._files = {entry.cid: entry for entry in reversed(files)}

    def __repr__(self) -> str:
        return f"MirrorStore({self._name!r})"

    @property
    def location(self) -> str:
        """Its name."""
        return self._name

    def has(self, cid: str) -> bool:
        """See `Store.has`: whether a file of the manifest has the address, and the server has the file."""
        check_cid(cid)
        try:
            for _ in self._spans(cid, 0):
                return True
        except MissingContentError:
            return False
        return True

    def _spans(self, cid: str, start: int) -> Iterator[bytes]:
        entry = self._files.get(cid)
        if entry is None:
            raise MissingContentError(
                f"The mirror {self._name} has no name for {cid}",
                "Mirrors have the files of a manifest, and this is not one of them",
                "Name a store that has it",
            )
        if start >= entry.size > 0:
            return
        headers = {"Range": f"bytes={start}-"} if start else {}
        path = "/" + quote(entry.path)
        with self._client.request("GET", path, headers=headers, what=entry.path, accept=(200, 206)) as reply:
            # A server without ranges starts from the beginning.
            place = start if reply.status == 206 else 0
            if place and not reply.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise VerificationError(
                    f"The mirror {self._name} sent another part of {entry.path!r} than requested",
                    f"Its response says {reply.headers.get('Content-Range', 'nothing')[:80]!r}",
                    "Use another location",
                )
            while piece := reply.read():
                fresh = piece[max(start - place, 0) :]
                place += len(piece)
                if place > entry.size:
                    raise VerificationError(
                        f"The mirror {self._name} sent more than {entry.size} bytes for {entry.path!r}",
                        "It has another file there",
                        "Use another location",
                    )
                if fresh:
                    yield fresh
        if place < entry.size:
            raise NodeUnreachableError(
                f"The mirror {self._name} stopped after {place} of {entry.size} bytes of {entry.path!r}",
                "The connection broke, or it has another file there",
                "Run the command again to resume, or use another location",
            )


def check_mirror(name: str, *, insecure: bool = False) -> None:
    """Refuse anything that is not the name of a mirror.

    Args:
        name: `mirror:https://host/folder`, `https://host/folder`, or `hf:owner/name` or `hf:datasets/owner/name`,
            optionally followed by `@` and a revision.
        insecure: Allow plain HTTP to machines other than this one.

    Raises:
        UsageError: It is something else.
    """
    _folder(name, insecure=insecure)


def mirrors_of(manifest: Manifest) -> tuple[str, ...]:
    """The mirrors that a manifest names and that may be used, in its order.

    A stranger may have written the manifest. So only well-formed names of public HTTPS servers count, at most
    `MAX_MIRRORS`; the rest of its field `mirrors` is ignored.
    """
    listed = (manifest.model_extra or {}).get("mirrors")
    if not isinstance(listed, (list, tuple)):
        return ()
    found = []
    for name in listed[: 4 * MAX_MIRRORS]:
        if not isinstance(name, str) or len(name) > 2000:
            continue
        try:
            public = is_public(_folder(name).url)
        except UsageError:
            continue
        if public:
            found.append(name)
    return tuple(dict.fromkeys(found))[:MAX_MIRRORS]


def _folder(name: str, *, insecure: bool = False) -> Place:
    if name.startswith("hf:"):
        repository = name.removeprefix("hf:")
        if not _REPOSITORY.fullmatch(repository) or ".." in repository or "//" in repository:
            raise UsageError(
                f"{name!r} is not a Hugging Face repository", remedy="Write it like hf:owner/name@revision"
            )
        path, _, revision = repository.partition("@")
        return place_of(f"{_HUGGING_FACE}/{path}/resolve/{quote(revision or 'main', safe='')}")
    return place_of(name.removeprefix("mirror:"), insecure=insecure)
