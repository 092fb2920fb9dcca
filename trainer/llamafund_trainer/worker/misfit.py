"""What to say of recipe, data and base model that do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llamafund_chain.errors import UsageError, VerificationError


class MisfitError(UsageError):
    """Recipe, data and base model do not go together, so no run of them exists."""


@contextmanager
def published() -> Iterator[None]:
    """Take a misfit for a contradiction: somebody published evidence of a run of exactly these.

    Raises:
        VerificationError: They do not go together.
    """
    try:
        yield
    except MisfitError as error:
        raise VerificationError(error.what, error.why, "No run of this recipe can have been made") from error
