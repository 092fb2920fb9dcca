"""Updates: a researcher's news for the backers. The chain has their hashes, stores have their texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import UpdatePosted
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.manifests import UpdateLink, UpdateManifest
from llamafund_chain.files import read_text
from llamafund_chain.store import Store
from llamafund_chain.store.content import fetch_manifest

MAX_FILE_BYTES = 256 * 1024
MAX_CHARACTERS = 20_000
"""Most characters of an update's text, as in its manifest."""

_LONGEST_TITLE = 300


@dataclass(frozen=True)
class PostedUpdate:
    """A posted update and its manifest.

    Attributes:
        sha256: The hash on chain, 64 hexadecimal digits.
        block: Number of the block that posted it.
        manifest: The manifest with that hash; `None` if it cannot be read, or is not an update of this campaign.
        problem: Why there is no manifest; empty if there is one.
    """

    sha256: str
    block: int
    manifest: UpdateManifest | None
    problem: str = ""


@dataclass(frozen=True)
class WrittenUpdate:
    """An update that is written, but not yet for a campaign."""

    title: str
    text: str

    def manifest(self, campaign: str, *, links: Mapping[str, str] | None = None) -> UpdateManifest:
        """The update's manifest.

        Args:
            campaign: The campaign with its chain, in CAIP-10 form.
            links: SHA-256 by title.
        """
        return UpdateManifest(
            campaign=campaign,
            title=self.title,
            text=self.text,
            links=tuple(UpdateLink(title=name, sha256=sha256) for name, sha256 in (links or {}).items()),
        )


def read_update(path: Path, *, title: str | None = None) -> WrittenUpdate:
    """An update whose text is in a file.

    Args:
        path: Markdown in UTF-8. Without `title`, its first line is the title: `# The data is ready`.
        title: The update's title; then the whole file is the text.

    Raises:
        UsageError: There is no such file, it is not text, it has no title or no text, or its text is too long.
    """
    text = read_text(path, MAX_FILE_BYTES)
    if title is None:
        first, _, text = text.partition("\n")
        title = first.removeprefix("# ")
        if title == first or not title.strip():
            raise UsageError(
                f"{str(path)!r} has no title",
                "Its first line is not a heading",
                "Begin it with a line such as “# The data is ready”, or give a --title",
            )
    title, text = title.strip(), text.strip()
    if not 0 < len(title) <= _LONGEST_TITLE:
        raise UsageError(f"The title has {len(title)} characters", f"It has 1 to {_LONGEST_TITLE}")
    if not 0 < len(text) <= MAX_CHARACTERS:
        raise UsageError(
            f"The text of {str(path)!r} has {len(text)} characters",
            f"An update has 1 to {MAX_CHARACTERS}",
            "Publish a longer text as a file, and link it by its hash",
        )
    return WrittenUpdate(title, text)


def find_updates(client: CampaignClient, store: Store, posted: Iterable[UpdatePosted]) -> tuple[PostedUpdate, ...]:
    """Updates with their manifests, or why those cannot be read.

    Args:
        client: The campaign.
        store: Where they may be published.
        posted: The events; a researcher may have posted any number.
    """
    return tuple(_find(client, store, event) for event in posted)


def _find(client: CampaignClient, store: Store, event: UpdatePosted) -> PostedUpdate:
    try:
        manifest = fetch_manifest(store, event.manifest, UpdateManifest)
        if manifest.campaign.lower() != client.caip10.lower():
            raise VerificationError(f"It is an update of {manifest.campaign}")
    except LlamafundError as error:
        return PostedUpdate(event.manifest, event.block, None, str(error))
    return PostedUpdate(event.manifest, event.block, manifest)
