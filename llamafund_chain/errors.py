"""Errors for people to read, each with the command line's exit code.

A message has three parts: what happened (with the value), why, and what to do next.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line; documented and stable."""

    OK = 0
    ERROR = 1
    USAGE = 2
    VERIFICATION_FAILED = 3
    NODE_UNREACHABLE = 4
    REVERTED = 5
    NOT_FINAL = 6
    UNCHECKED = 7
    INTERRUPTED = 130


class LlamafundError(Exception):
    """Base of every error raised on purpose.

    Args:
        what: What happened, with the offending value.
        why: The reason, if it is not obvious from `what`.
        remedy: What the reader can do next.
    """

    exit_code: ExitCode = ExitCode.ERROR

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [self.what]
        if self.why:
            parts.append(self.why)
        if self.remedy:
            parts.append(self.remedy)
        return " ".join(part if part.endswith((".", "?", "!", ":")) else f"{part}." for part in parts)


class UsageError(LlamafundError):
    """The input cannot be used as given."""

    exit_code = ExitCode.USAGE


class VerificationError(LlamafundError):
    """Something is not what it claims to be."""

    exit_code = ExitCode.VERIFICATION_FAILED


class WrongAnswerError(VerificationError):
    """A store or server returned something else than it was asked for, which says nothing about what that is."""


class UncheckedError(LlamafundError):
    """Something could not be checked, which says nothing about it."""

    exit_code = ExitCode.UNCHECKED


class NodeError(LlamafundError):
    """The chain's node, or another server, is the reason. It says nothing about what it was asked about."""

    exit_code = ExitCode.NODE_UNREACHABLE


class NodeUnreachableError(NodeError):
    """The chain's node, or another server, did not answer."""


class TransactionRevertedError(LlamafundError):
    """The contract refused the transaction; nothing moved."""

    exit_code = ExitCode.REVERTED


class NotFinalError(LlamafundError):
    """A reorganisation could still undo what this step relies on."""

    exit_code = ExitCode.NOT_FINAL


def accuses(error: BaseException) -> bool:
    """Whether an error means that something is not what it claims to be, and not that a store or machine failed."""
    return isinstance(error, VerificationError) and not isinstance(error, WrongAnswerError)


def system_reason(error: BaseException) -> str | None:
    """What the operating system said, when it is behind an error; `None` when it is not."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return None
