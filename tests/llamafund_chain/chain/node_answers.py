"""Errors as nodes and providers of 2019 to 2026 word them, from their documents and their users' reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    """An error: who says it, the HTTP status, the JSON-RPC code, the message, and the data that comes with it."""

    who: str
    status: int
    code: int
    message: str
    data: Any = None

    @property
    def error(self) -> dict[str, Any]:
        more = {} if self.data is None else {"data": self.data}
        return {"code": self.code, "message": self.message, **more}


RATE_LIMITS = (
    Said("Infura", 429, -32005, "Too Many Requests", {"see": "https://infura.io/dashboard"}),
    Said("Infura", 200, -32005, "project ID request rate exceeded", {"rate": {"backoff_seconds": 30}}),
    Said("Infura, a day", 429, -32005, "daily request count exceeded, request rate limited"),
    Said("Alchemy", 429, 429, "Your app has exceeded its compute units per second capacity."),
    Said("Alchemy in a batch", 200, 429, "Your app has exceeded its compute units per second capacity."),
    Said("QuickNode", 429, -32007, "15/second request limit reached - reduce calls per second or upgrade"),
    Said("QuickNode", 200, -32012, "credits limited to 6000/sec"),
    Said("QuickNode, a day", 429, -32003, "daily request limit reached - upgrade your account"),
    Said("Ankr", 429, -32029, "Too many requests, please try again later"),
    Said("OnFinality, TheRPC", 200, -32029, "Too Many Requests, Please apply an OnFinality API key or contact us"),
    Said("Cloudflare", 429, 0, "error code: 1015"),
    Said("publicnode", 429, -32000, "rate limit exceeded"),
    Said("drpc", 429, 15, "Too many request, try again later"),
    Said("drpc", 200, 15, "Too many request, try again later"),
    Said("llamarpc", 429, -32005, "rate limit exceeded: 15 requests per second"),
    Said("Optimism, Base", 429, -32016, "over rate limit"),
    Said(
        "Base's own node", 200, -32000, '429 Too Many Requests: {"error":{"code":-32016,"message":"over rate limit"}}'
    ),
    Said("Chainstack", 200, -32005, "You've exceeded the RPS limit", {"try_again_in": "1.2s"}),
    Said("EIP-1474", 200, -32005, "limit exceeded"),
)

BLOCK_LIMITS: tuple[tuple[Said, int | None], ...] = (
    (Said("Infura", 200, -32602, "range 1000000 exceeds limit of 10000"), 10_000),
    (
        Said(
            "Alchemy, free",
            400,
            -32600,
            "You can make eth_getLogs requests with up to a 500 block range. Based on your parameters, this block "
            "range should work: [0x123c9b2, 0x123cba5]",
        ),
        500,
    ),
    (Said("QuickNode, Arc, Berachain", 413, -32614, "eth_getLogs is limited to a 10,000 range"), 10_000),
    (Said("Ankr", 200, -32600, "block range is too wide"), None),
    (
        Said(
            "Cloudflare",
            200,
            -32047,
            "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800",
        ),
        800,
    ),
    (Said("publicnode", 200, -32701, "exceed maximum block range: 50000"), 50_000),
    (Said("drpc", 200, 35, "ranges over 10000 blocks are not supported on freetier"), 10_000),
    (Said("1rpc", 200, -32000, "eth_getLogs is limited to 0 - 10000 blocks range"), 10_000),
    (Said("BSC", 200, -32005, "limit exceeded"), None),
    (Said("Avalanche", 200, -32000, "requested too many blocks from 1 to 9000, maximum is set to 2048"), 2_048),
    (Said("Arc", 200, -32012, "requested range too large"), None),
    (Said("Berachain", 200, -32602, "query exceeds max block range 100000"), 100_000),
    (Said("Candle", 200, -32600, "block range too high"), None),
    (Said("Polygon", 200, -32000, "Block range is too large"), None),
)

RESULT_LIMITS: tuple[tuple[Said, int | None], ...] = (
    (
        Said(
            "Infura",
            200,
            -32005,
            "query returned more than 10000 results. Try with this block range [0xBDE5F8, 0xBDE6F7].",
            {"from": "0xBDE5F8", "limit": 10000, "to": "0xBDE6F7"},
        ),
        256,
    ),
    (
        Said(
            "Alchemy",
            200,
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on "
            "the response size, or you can request any block range with a cap of 10K logs in the response. Based on "
            "your parameters and the response size limit, this block range should work: [0x0, 0xff]",
        ),
        256,
    ),
    (Said("Arbitrum", 200, -32000, "logs matched by query exceeds limit of 10000"), None),
    (Said("Optimism", 200, -32020, "backend response too large"), None),
    (Said("geth", 200, -32000, "query timeout exceeded"), None),
    (
        Said("Arc", 200, -32602, "query exceeds max results 20000, retry with the range 59066104-59066970"),
        867,
    ),
)

NOT_THERE_YET = (
    Said("geth", 200, -32000, "header not found"),
    Said("geth", 200, -32000, "unknown block"),
    Said("geth, by hash", 200, -32000, "hash is not currently canonical"),
    Said("geth", 200, -32602, "block range extends beyond current head block"),
    Said("Nethermind", 200, -32001, "Header not found"),
    Said(
        "Nethermind",
        200,
        -32001,
        "One of the blocks specified in filter (fromBlock, toBlock or blockHash) cannot be found.",
    ),
    Said("Besu", 200, -39001, "Block not found"),
    Said("Erigon", 200, -32000, "block not found: 1234567"),
    Said("anvil", 200, -32602, "BlockOutOfRangeError: block height is 5 but requested was 9"),
    Said("drpc", 200, -32000, "can't find header"),
    Said("EIP-1474", 200, -32001, "Resource not found."),
    Said("Avalanche", 200, -32000, "cannot query unfinalized data: requested block in the future"),
)

PRUNED = (
    Said("geth", 200, -32000, "missing trie node 6aa8f0b7 (path ) state 0x6aa8 is not available, not found"),
    Said("geth, path scheme", 200, -32000, "historical state 6aa8f0b7 is not available"),
    Said("reth", 200, -32000, "distance to target block exceeds maximum proof window"),
    Said("Erigon", 200, -32000, "old data not available due to pruning"),
    Said("Nethermind", 200, -32002, "No state available for block 0x1234"),
    Said("Besu", 200, -32000, "World state unavailable"),
    Said("anvil", 200, -32602, "BlockOutOfRangeError: block height is 15 but requested was 6"),
    Said("EIP-4444", 200, 4444, "pruned history unavailable"),
)

UNKNOWN_TAGS = (
    Said("geth before the merge", 200, -32602, "invalid argument 0: hex string without 0x prefix"),
    Said("geth, young chain", 200, -39001, "Unknown block"),
    Said("geth, young chain", 200, -32000, "finalized block not found"),
    Said("geth", 200, -32000, "pending state is not available"),
    Said("zkSync", 200, -32602, "block tag is not supported"),
    Said("drpc", 200, -32602, "invalid params"),
)

REVERTS = (
    Said("geth", 200, 3, "execution reverted", "0x08c379a0"),
    Said("Nethermind", 200, -32015, "VM execution error. revert", "Reverted 0x08c379a0"),
    Said("Besu", 200, -32000, "Execution reverted", "0x08c379a0"),
    Said("ganache", 200, -32000, "VM Exception while processing transaction: revert", {"0xaa": {"return": "0x"}}),
    Said("a contract that says so", 200, 3, "execution reverted: rate limit", "0x08c379a0"),
)

REFUSALS = (
    Said("anybody", 200, -32601, "Method not found"),
    Said("Ankr", 403, -32052, "API key is not allowed to access blockchain"),
    Said("anybody", 200, -32000, "insufficient funds for gas * price + value"),
)

BUSY = (
    Said("Cloudflare", 200, -32046, "Cannot fulfill request"),
    Said("anybody", 503, -32000, "Service Temporarily Unavailable"),
    Said("drpc", 500, 30, "Request timeout on the free tier, please upgrade your tier to the paid one"),
    Said("drpc", 200, 19, "Temporary internal error. Please retry, trace-id: 1; no available upstreams"),
)

BATCHES: tuple[tuple[Said, int | None], ...] = (
    (Said("drpc", 500, 31, "Batch of more than 3 requests are not allowed on free tier, to use this upgrade"), 3),
    (Said("geth", 200, -32600, "batch too large"), None),
    (Said("Nethermind", 200, -32005, "Batch size limit exceeded"), None),
    (Said("Arc", 200, -32600, "batch limit is 10"), 10),
)
