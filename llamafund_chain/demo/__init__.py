"""The whole story on a local chain: funded, trained, attested, paid, audited, and four rug pulls that fail."""

from __future__ import annotations

from collections.abc import Mapping

SHORT_HELPS: Mapping[str, str] = {
    "demo": "Watch a model being crowdfunded, trained, attested, paid and audited, and four rug pulls fail.",
}
"""What `llamafund --help` says of the command, so that it does not load the story."""
