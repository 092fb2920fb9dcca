"""Model cards: the part that follows from manifests, and the part that is the author's claim."""

from __future__ import annotations

from llamafund_chain.evidence.manifests import CheckpointManifest

CLAIMS = "## The author's claims"
"""The line after which a model card says what nobody has checked."""

_NOTE = "No program has checked what follows."
_FENCE = "---"


def short_card(checkpoint: CheckpointManifest, license: str) -> str:
    """The model card of a recorded run: what its manifests say.

    Args:
        checkpoint: The one that the weights are from.
        license: SPDX identifier.
    """
    return (
        f"---\nlicense: {license.lower()}\n---\n\n# Model weights\n\n"
        "Exported from a checkpoint of a recorded training run. Each line is the SHA-256 of a file that names "
        "everything before it.\n\n| | |\n|---|---|\n"
        f"| checkpoint | `{checkpoint.sha256}` |\n"
        f"| recipe | `{checkpoint.recipe}` |\n"
        f"| dataset | `{checkpoint.dataset}` |\n"
        f"| training seed | `{checkpoint.seed}` |\n\n"
        f"{checkpoint.steps.last} steps. License: {license}\n"
    )


def with_claims(card: str, text: str) -> str:
    """A model card with the author's text below a heading that says whose it is.

    Args:
        card: The part that follows from manifests.
        text: The author's, in Markdown. Metadata at its beginning takes the place of the card's.
    """
    metadata, body = split_metadata(text)
    if metadata:
        card = f"{metadata}\n{split_metadata(card)[1].lstrip()}"
    return f"{card}\n{CLAIMS}\n\n{_NOTE}\n\n{body.strip()}\n"


def checked_part(card: str) -> tuple[str, str]:
    """A model card in two parts: before the heading of the author's claims, and from there on."""
    before, heading, after = card.partition(f"\n{CLAIMS}\n")
    return before, heading + after


def split_metadata(text: str) -> tuple[str, str]:
    """The metadata at the beginning of a model card with the lines around it, and the rest."""
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        return "", text
    end = next((place for place, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        return "", text
    return "\n".join([*lines[: end + 1], ""]), "\n".join([*lines[end + 1 :], ""])
