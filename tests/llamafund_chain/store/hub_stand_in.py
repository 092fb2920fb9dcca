"""A server that answers as Hugging Face's does for downloads, and a second one that holds its large files.

`test_hugging_face.py` has the library `huggingface_hub` itself read from it.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import Self
from urllib.parse import unquote

from http_servers import Asked, Handler, LocalServer

TOKEN = "hf_secret"
COMMIT = "c0ffee" + "0" * 34


class HubStandIn:
    """The repository `ann/llama` with the revisions `main` and `v1`.

    Attributes:
        files: What it has, by path.
        large: The paths that a redirect sends to the other host.
        gated: Whether it wants `TOKEN`; another token is refused as that of somebody who has not agreed.
        busy: Headers of each answer "too many requests" that comes first.
        cut: Bytes after which the next body breaks off; `None` for whole ones.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.large: set[str] = set()
        self.gated = False
        self.busy: list[dict[str, str]] = []
        self.cut: int | None = None
        self.linked_size: int | None = None
        self.hub = LocalServer(self._hub)
        self.cdn = LocalServer(self._cdn)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.hub)
        self._stack.enter_context(self.cdn)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _hub(self, handler: Handler, asked: Asked) -> None:
        repository, _, rest = asked.path.partition("/resolve/")
        revision, _, path = unquote(rest).partition("/")
        sent = asked.headers.get("authorization") or asked.headers.get("Authorization")
        if self.busy:
            return handler.reply(429, b"", self.busy.pop(0))
        if repository != "/ann/llama":
            return _refuse(handler, 404 if sent else 401, "RepoNotFound", "Repository not found")
        if self.gated and sent != f"Bearer {TOKEN}":
            return _refuse(handler, 403 if sent else 401, "GatedRepo", "Access to model ann/llama is restricted.")
        if revision not in ("main", "v1", COMMIT):
            return _refuse(handler, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if path not in self.files:
            return _refuse(handler, 404, "EntryNotFound", "Entry not found")
        data = self.files[path]
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        headers = {"X-Repo-Commit": COMMIT, "ETag": etag, "Accept-Ranges": "bytes"}
        if path not in self.large:
            return self._body(handler, asked, data, headers)
        size = len(data) if self.linked_size is None else self.linked_size
        there = f"{self.cdn.url}/{path}?X-Amz-Signature=0"
        return handler.reply(
            302, b"", {**headers, "X-Linked-Size": str(size), "X-Linked-ETag": etag, "Location": there}
        )

    def _cdn(self, handler: Handler, asked: Asked) -> None:
        self._body(handler, asked, self.files[unquote(asked.path)[1:]], {"Accept-Ranges": "bytes"})

    def _body(self, handler: Handler, asked: Asked, data: bytes, headers: dict[str, str]) -> None:
        wanted = asked.headers.get("range") or asked.headers.get("Range") or ""
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        status = 206 if wanted else 200
        if self.cut is not None and asked.method == "GET":
            cut, self.cut = self.cut, None
            handler.stream(iter((data[start : start + cut],)), broken=True, status=status, headers=headers)
        else:
            handler.reply(status, data[start:], headers)


def _refuse(handler: Handler, status: int, code: str, said: str) -> None:
    handler.reply(status, b"", {"X-Error-Code": code, "X-Error-Message": said})
