"""Ordinary web servers and Hugging Face repositories that have the files of a manifest under their paths.

A manifest may name some in its field `mirrors`; anybody may name others. They are only hints: everything they send is
compared with the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence.hashing import FileHasher
from llamafund_chain.evidence.manifests import FileEntry, Manifest
from llamafund_chain.http.deadline import STRIDE
from llamafund_chain.http.patience import Patience
from llamafund_chain.http.transport import Reply
from llamafund_chain.store.base import BrokeOffError, MissingContentError, OtherFormError, check_cid, wrong_size
from llamafund_chain.store.http.client import Place, WebClient, breaking_off, credential_for, is_public, place_of
from llamafund_chain.store.http.resume import ReadOnlyStore

MAX_MIRRORS = 16
"""Most mirrors of one manifest to try."""

STRIDE_SECONDS = 60.0
"""How long each `STRIDE` bytes of a file may take: the same as at a gateway."""

FILE_SECONDS = 24 * 3600.0
"""How long one file may take in all. Bytes received are kept, so the next attempt resumes."""

MAX_MEASURED = 64 * 1024 * 1024
"""Most bytes of a file that is longer than it should be to fetch only to learn whose fault that is."""

_PROGRESS = 64 * 1024
"""Bytes that an attempt must bring to count as progress."""

HUGGING_FACE = "https://huggingface.co"
"""Where its repositories are."""

_TOKEN = f"put a line for {HUGGING_FACE} with a token into the file that LLAMAFUND_CREDENTIALS names"
_REASONS = {
    "GatedRepo": (
        "Only accounts that have agreed to the repository's conditions get its files",
        f"Agree on its page, and {_TOKEN}",
    ),
    "RepoNotFound": ("There is no such repository, or it is private", f"Check its name; for a private one, {_TOKEN}"),
    "RevisionNotFound": ("The repository has no such revision", "Name a branch, a tag or a commit after the @"),
    "EntryNotFound": ("The revision has no file of that name", "Name another revision after the @"),
}
"""What Hugging Face's servers say in the header `X-Error-Code`, as `huggingface_hub.utils.hf_raise_for_status` reads
it. A repository that does not exist is refused like one that needs a token."""

_SIZE = re.compile(r"[0-9]{1,15}")
_REPOSITORY = re.compile(r"(datasets/)?[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,100})?", re.ASCII)


class MirrorStore(ReadOnlyStore):
    """A web server or Hugging Face repository, read through a manifest that says which file has which address.

    Args:
        name: `mirror:https://host/folder` or `hf:owner/name@revision`; see `check_mirror`.
        files: The files it should have.
        insecure: Allow plain HTTP to machines other than this one.
        hint: Whether a stranger named it, in a manifest. Then it may only lead to public addresses.
        seconds: How long each `STRIDE` bytes of a file may take.
        patience: For a server that breaks off or asks for time.

    Raises:
        UsageError: The name is malformed, or as `credential_for`.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[FileEntry],
        *,
        insecure: bool = False,
        hint: bool = False,
        seconds: float = STRIDE_SECONDS,
        patience: Patience | None = None,
    ) -> None:
        self._name = name
        place = _folder(name, insecure=insecure)
        hub = name.startswith("hf:")
        self._client = WebClient(
            place,
            credential_for(place),
            seconds=seconds,
            stride=STRIDE,
            most=FILE_SECONDS,
            public=hint,
            explain=_explained if hub else None,
        )
        self._patience = Patience() if patience is None else patience
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
        attempt = 1
        while True:
            began = start
            try:
                for piece in self._request(entry, start):
                    start += len(piece)
                    yield piece
            except BrokeOffError as error:
                if start >= entry.size:
                    return
                # It goes on where it broke off. Whoever makes progress gets new attempts.
                attempt = 1 if start - began >= _PROGRESS else attempt
                if not self._patience.wait(error.what, attempt, error.wait):
                    raise
                attempt += 1
            else:
                return

    def _request(self, entry: FileEntry, start: int) -> Iterator[bytes]:
        """The bytes of one response, from an offset on."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        path = "/" + quote(entry.path)
        accept = (200, 206, 416) if start else (200, 206)

        def redirected(reply: Reply) -> None:
            length = _linked_size(reply)
            if length is not None and length != entry.size:
                raise self._too_long(entry) if length > entry.size else self._another(entry, length)

        with self._client.request(
            "GET", path, headers=headers, what=entry.path, accept=accept, redirected=redirected
        ) as reply:
            if reply.status == 416:
                raise OtherFormError(
                    f"The mirror {self._name} has no bytes of {entry.path!r} after {start}",
                    f"The file must have {entry.size}; it has another one there",
                    "Use another location",
                )
            # A server without ranges starts from the beginning.
            place = start if reply.status == 206 else 0
            if place and not reply.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise OtherFormError(
                    f"The mirror {self._name} sent another part of {entry.path!r} than requested",
                    f"Its response says {reply.headers.get('Content-Range', 'nothing')[:80]!r}",
                    "Use another location",
                )
            while piece := _read(reply):
                fresh = piece[max(start - place, 0) :]
                place += len(piece)
                if place > entry.size:
                    raise self._too_long(entry)
                if fresh:
                    yield fresh
            if place < entry.size:
                self._too_short(entry, place, reply)

    def _another(self, entry: FileEntry, length: int) -> OtherFormError:
        return OtherFormError(
            f"The mirror {self._name} has {length} bytes for {entry.path!r}, which must have {entry.size}",
            "It has another file there",
            "Use another location",
        )

    def _too_long(self, entry: FileEntry) -> LlamafundError:
        """A longer file may be another one, or the right one with a wrong size in the manifest: its hash tells."""
        hasher, total = FileHasher(), 0
        try:
            with self._client.request("GET", "/" + quote(entry.path), what=entry.path) as reply:
                while total <= MAX_MEASURED and (piece := _read(reply)):
                    hasher.update(piece)
                    total += len(piece)
        except LlamafundError:
            total = 0
        if entry.size < total <= MAX_MEASURED and hasher.finish().cid == entry.cid:
            return wrong_size(entry.cid, total, entry.size)
        return OtherFormError(
            f"The mirror {self._name} sent more than {entry.size} bytes for {entry.path!r}",
            "It has another file there",
            "Use another location",
        )

    def _too_short(self, entry: FileEntry, place: int, reply: Reply) -> None:
        what = f"The mirror {self._name} stopped after {place} of {entry.size} bytes of {entry.path!r}"
        if reply.headers.get("Content-Type", "").startswith("text/html") and not entry.path.endswith((".html", ".htm")):
            raise OtherFormError(f"{what}: it sent a page", "It may want a login", "Use another location")
        raise BrokeOffError(
            what,
            "The connection broke, or it has another file there",
            "Run the command again to resume, or use another location",
        )


def _linked_size(reply: Reply) -> int | None:
    """What a Hugging Face server says about the file to which it redirects."""
    text = reply.headers.get("X-Linked-Size", "")
    return int(text) if _SIZE.fullmatch(text) else None


def _explained(reply: Reply) -> tuple[str, str] | None:
    """Why a Hugging Face server refuses, by the code that it sends, and what helps."""
    return _REASONS.get(reply.headers.get("X-Error-Code", ""))


def _read(reply: Reply) -> bytes:
    with breaking_off():
        return reply.read()


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
        return place_of(f"{HUGGING_FACE}/{path}/resolve/{quote(revision or 'main', safe='')}")
    return place_of(name.removeprefix("mirror:"), insecure=insecure)
