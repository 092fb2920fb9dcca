"""What a node's error means. There is no standard: each client and each provider has words of its own.

The class of an error decides what happens next: wait, ask another node, ask for less, or give up. None of them says
anything about a campaign, so none of them ever ends as a failed verification.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llamafund_chain.errors import ExitCode, NodeError, NodeUnreachableError
from llamafund_chain.text import printable

TAGS = ("finalized", "safe", "pending")
"""Names of blocks that some nodes do not know."""


class BusyError(NodeUnreachableError):
    """The node cannot answer now; later it may.

    Attributes:
        wait: Seconds that it asks to wait; `None` if it does not say.
        hopeless: Whether no wait within one run helps.
    """

    def __init__(
        self, what: str, why: str = "", remedy: str = "", *, wait: float | None = None, hopeless: bool = False
    ) -> None:
        super().__init__(what, why, remedy)
        self.wait = wait
        self.hopeless = hopeless


class RateLimitedError(BusyError):
    """The node limits how often it may be asked."""


class LaggingError(NodeUnreachableError):
    """The node does not have a block, or what is in it, yet: not there yet is not the same as invalid."""


class PrunedError(NodeUnreachableError):
    """The node no longer keeps the state of that block."""


class RpcError(NodeError):
    """The node answered with an error: it refuses the request.

    Attributes:
        code: JSON-RPC error code.
        message: Its words, unchanged.
        data: The data that came with it, unchanged.
    """

    exit_code = ExitCode.ERROR

    def __init__(self, method: str, code: int, message: str, data: Any) -> None:
        super().__init__(
            f"The node refused {method}",
            f"It says: {printable(message, 300)} (code {code})",
            "Check that it is in sync and serves this request, or name another node with --rpc",
        )
        self.code = code
        self.message = message
        self.data = data


class UnsupportedTagError(RpcError):
    """The node does not know `finalized`, `safe` or `pending`.

    Attributes:
        tag: Which of them.
    """

    def __init__(self, method: str, code: int, message: str, data: Any, tag: str) -> None:
        super().__init__(method, code, message, data)
        self.tag = tag


class LimitError(RpcError):
    """The node answers requests for less.

    Attributes:
        kind: What there is too much of: blocks to search, or results (then blocks with fewer logs may be searched at
            once).
        blocks: Number of blocks that it says it searches at once; `None` if it does not say.
    """

    exit_code = ExitCode.NODE_UNREACHABLE

    def __init__(
        self,
        method: str,
        code: int,
        message: str,
        data: Any,
        *,
        kind: Literal["blocks", "results"],
        blocks: int | None = None,
    ) -> None:
        super().__init__(method, code, message, data)
        self.kind = kind
        self.blocks = blocks


class BatchRefusedError(RpcError):
    """The node does not take that many requests at once.

    Attributes:
        most: Number that it says it takes; `None` if it does not say.
    """

    def __init__(self, method: str, code: int, message: str, data: Any, most: int | None = None) -> None:
        super().__init__(method, code, message, data)
        self.most = most


# Words in lower case. Which provider or client uses them is told by the tests.
_QUOTA = (
    "daily request",
    "daily limit",
    "monthly",
    "quota",
    "out of requests",
    "free tier limit",
    "plan limit reached",
)
_RATE = (
    "rate limit",
    "rate-limit",
    "ratelimit",
    "request rate",
    "rate exceeded",
    "too many request",
    "too many connections",
    "request limit",
    "requests limit",
    "requests per",
    "calls per",
    "/second",
    "/sec",
    "per second",
    "throttl",
    "rps limit",
    "credits limited",
    "compute units",
    "error code: 1015",
)
_RATE_CODES = (429, -32007, -32016, -32029)
_BUSY = (
    "cannot fulfill request",
    "temporarily unavailable",
    "service unavailable",
    "try again",
    "timeout",
    "timed out",
    "upstream",
    "no available",
    "no response",
    "overloaded",
    "server is busy",
    "bad gateway",
    "internal server error",
)
_RESULTS = (
    "returned more than",
    "more than 10000 results",
    "response size",
    "too many results",
    "too many logs",
    "max results",
    "logs matched",
    "response too large",
    "response is too large",
    "response too big",
    "timeout",
    "timed out",
    "took too long",
    "result set",
)
_BLOCKS = (
    "block range",
    "blocks range",
    "range of blocks",
    "range too",
    "range is too",
    "range limit",
    "ranges over",
    "range exceed",
    "max range",
    "maximum range",
    "is limited to",
    "too many blocks",
    "most blocks",
    "exceeds limit of",
    "exceeds the range",
    "limit exceeded",
    "limit the query",
    "too wide",
)
_BLOCKS_CODES = (35, -32614)
_UNKNOWN_BLOCK = (
    "header not found",
    "unknown block",
    "block not found",
    "blocknotfound",
    "header for hash not found",
    "not currently canonical",
    "is not canonical",
    "find header",
    "could not find block",
    "cannot find block",
    "cannot be found",
    "resource not found",
    "requested resource",
    "beyond current head",
    "beyond the head",
    "after last accepted block",
    "in the future",
    "greater than latest",
    "block is out of range",
    "blockoutofrange",
    "invalid block height",
    "not yet available",
    "not been imported",
    "not indexed yet",
)
_HEIGHT_AND_WANTED = re.compile(r"block height is (\d{1,20}) but requested was (\d{1,20})")
_PRUNED = (
    "missing trie node",
    "historical state",
    "state not available",
    "state is not available",
    "no state available",
    "state unavailable",
    "world state",
    "state histories",
    "pruned",
    "pruning",
    "archive",
    "proof window",
    "history unavailable",
    "history is not available",
)
_PRUNED_CODES = (4444,)
_UNKNOWN_TAG = (
    "invalid argument",
    "invalid param",
    "not available",
    "not supported",
    "unsupported",
    "not found",
    "tag",
)
_NUMBER = r"([0-9][0-9,_.]*)\s*(k|m)?"
_SAID_BLOCKS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"limited to (?:a |0 ?- ?)?{_NUMBER}\s*(?:blocks?)?\s*range",
        rf"limited to (?:0 ?- ?)?{_NUMBER}\s*blocks?",
        rf"up to a {_NUMBER} block range",
        rf"ranges over {_NUMBER} blocks",
        rf"max(?:imum)? (?:block )?range(?: is|:)? {_NUMBER}",
        rf"block range:? {_NUMBER}$",
        rf"maximum (?:is set to|allowed is) {_NUMBER}",
        rf"exceeds limit of {_NUMBER}",
        rf"at most {_NUMBER} blocks",
        rf"less than {_NUMBER} blocks",
    )
)
_SAID_SPAN = re.compile(r"(0x[0-9a-f]{1,16}|[0-9]{1,19})\s*[-,]\s*(0x[0-9a-f]{1,16}|[0-9]{1,19})")
_SAID_BATCH = re.compile(
    r"(?:more than|limit(?:ed)?(?: is| to|:)?|max(?:imum)?(?: is|:)?|up to|at most)\D{0,20}([0-9]{1,5})"
)
_SAID_WAIT = re.compile(
    r"(?:try.again.in|retry.after|back.?off)\D{0,20}?([0-9]+(?:\.[0-9]+)?)\s*(ms|s\b|sec|$|[\"',}])"
)


@dataclass(frozen=True)
class _Said:
    """A node's error, taken apart.

    Attributes:
        words: Message and data in lower case, with single spaces.
        tag: The name of a block that was requested; `None` if it was none of `TAGS`.
        wait: Seconds in the header `Retry-After`.
    """

    method: str
    code: int
    message: str
    data: Any
    words: str
    node: str
    status: int
    wait: float | None
    tag: str | None

    def has(self, phrases: Sequence[str]) -> bool:
        return any(phrase in self.words for phrase in phrases)

    @property
    def quoted(self) -> str:
        return f"It says: {printable(self.message, 300)} (code {self.code})" if self.message else ""

    @property
    def fields(self) -> tuple[str, int, str, Any]:
        return self.method, self.code, self.message, self.data


def meaning_of(
    method: str, params: Sequence[Any], error: Any, *, node: str, status: int = 200, wait: float | None = None
) -> NodeError:
    """The class of a node's error.

    Args:
        method: What was requested.
        params: With what.
        error: The response's `error`; anything.
        node: The node, for messages.
        status: HTTP status of the response.
        wait: Seconds in its header `Retry-After`.
    """
    if not isinstance(error, Mapping):
        error = {"message": str(error)}
    code, message, data = error.get("code"), str(error.get("message", "")), error.get("data")
    code = code if isinstance(code, int) and not isinstance(code, bool) else 0
    text = f"{message} {json.dumps(data) if isinstance(data, Mapping) else data if isinstance(data, str) else ''}"
    words = " ".join(text[:4000].lower().split())
    if method in ("eth_call", "eth_estimateGas") and (code == 3 or "revert" in words):
        return RpcError(method, code, message, data)
    tag = next((name for name in params if isinstance(name, str) and name in TAGS), None)
    said = _Said(method, code, message, data, words, node, status, wait, tag)
    # A refused transaction has words of its own, see `refusal_of`.
    sending = method.startswith("eth_send")
    for kind in (
        (_rate_limit, _busy) if sending else (_batch, _rate_limit, _tag, _unknown_block, _limit, _pruned, _busy)
    ):
        found = kind(said)
        if found is not None:
            return found
    return RpcError(method, code, message, data)


def rate_limited(node: str, why: str = "", *, wait: float | None = None, hopeless: bool = False) -> RateLimitedError:
    """The error for a node that limits how often it may be asked.

    Args:
        node: The node.
        why: What it says.
        wait: Seconds that it asks to wait.
        hopeless: Whether no wait within one run helps.
    """
    later = "Wait a while and repeat the command" if wait is None else f"It asks to wait {wait:.3g} seconds"
    if hopeless:
        later = "Its allowance is used up"
    return RateLimitedError(
        f"The node at {node} limits how often it may be asked",
        why,
        f"{later}. Or name another node with --rpc, or several: then others take over",
        wait=wait,
        hopeless=hopeless,
    )


def _rate_limit(said: _Said) -> NodeError | None:
    quota = said.status == 402 or said.has(_QUOTA)
    # EIP-1474 calls that "limit exceeded", and some nodes say so when a search for logs is too wide.
    ambiguous = said.code == -32005 and said.method != "eth_getLogs"
    if not (quota or ambiguous or said.status == 429 or said.code in _RATE_CODES or said.has(_RATE)):
        return None
    match = _SAID_WAIT.search(said.words)
    wait = said.wait
    if wait is None and match is not None:
        wait = float(match[1]) / (1000 if match[2] == "ms" else 1)
    return rate_limited(said.node, said.quoted, wait=wait, hopeless=quota)


def _batch(said: _Said) -> NodeError | None:
    if "batch" not in said.words:
        return None
    match = _SAID_BATCH.search(said.words)
    return BatchRefusedError(*said.fields, most=int(match[1]) if match else None)


def _tag(said: _Said) -> NodeError | None:
    if said.tag is None or not (said.tag in said.words or said.has(_UNKNOWN_TAG) or said.has(_UNKNOWN_BLOCK)):
        return None
    return UnsupportedTagError(*said.fields, tag=said.tag)


def _unknown_block(said: _Said) -> NodeError | None:
    if not said.has(_UNKNOWN_BLOCK) or _has_forgotten(said):
        return None
    return LaggingError(
        f"The node at {said.node} does not have a block yet that {said.method} is about",
        said.quoted,
        "It is behind the chain, or the block was undone. Wait a little, or name another node with --rpc",
    )


def _limit(said: _Said) -> NodeError | None:
    if said.method != "eth_getLogs":
        return None
    if said.has(_RESULTS):
        return LimitError(*said.fields, kind="results", blocks=_span(said.words))
    if said.has(_BLOCKS) or said.code in _BLOCKS_CODES or said.code == -32005:
        return LimitError(*said.fields, kind="blocks", blocks=_stated_blocks(said.words) or _span(said.words))
    return None


def _pruned(said: _Said) -> NodeError | None:
    if not said.has(_PRUNED) and said.code not in _PRUNED_CODES and not _has_forgotten(said):
        return None
    return PrunedError(
        f"The node at {said.node} no longer keeps what {said.method} asks for",
        said.quoted,
        "Name a node that keeps old states (an archive node) with --rpc",
    )


def _has_forgotten(said: _Said) -> bool:
    """Anvil says "out of range" too of a state that it no longer keeps: it then asks for no more than its height."""
    match = _HEIGHT_AND_WANTED.search(said.words)
    return match is not None and int(match[2]) <= int(match[1])


def _busy(said: _Said) -> NodeError | None:
    if not said.has(_BUSY) and said.status not in (502, 503, 504):
        return None
    return BusyError(
        f"The node at {said.node} cannot answer {said.method} now",
        said.quoted,
        "Wait a while and repeat the command, or name another node with --rpc",
        wait=said.wait,
    )


def _stated_blocks(words: str) -> int | None:
    """The number of blocks that a node says it searches at once."""
    for pattern in _SAID_BLOCKS:
        match = pattern.search(words)
        if match is not None:
            digits = re.sub(r"[,_.]", "", match[1])
            found = int(digits) * {"k": 1_000, "m": 1_000_000, None: 1}[match[2]]
            return found if found > 0 else None
    return None


def _span(words: str) -> int | None:
    """The length of a range that a node says would work."""
    match = _SAID_SPAN.search(words)
    if match is None:
        return None
    first, last = (int(text, 16 if text.startswith("0x") else 10) for text in match.groups())
    return last - first + 1 if last >= first else None
