"""The HTTP side of a node: every way in which it can fail to answer is one error.

Imports web3, so it is imported only where a connection is made.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from llamafund_chain.errors import NodeUnreachableError
from llamafund_chain.text import printable

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
"""Seconds; simulations and log searches of a remote node take a while."""


def shown_url(url: str) -> str:
    """A node's address without what may be secret in it: user, password, path and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return printable(f"{parts.scheme}://{host}{port}", 200)


class NodeProvider(HTTPProvider):
    """Sends each request once; a request that fails is never repeated behind the caller's back."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            request_kwargs={"timeout": (CONNECT_TIMEOUT, READ_TIMEOUT)},
            exception_retry_configuration=None,
        )
        self._shown = shown_url(url)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One JSON-RPC request.

        Raises:
            NodeUnreachableError: There was no answer, or it is not JSON-RPC.
        """
        try:
            response = super().make_request(method, params)
        except requests.exceptions.Timeout as error:
            raise NodeUnreachableError(
                f"The node at {self._shown} did not answer in time",
                f"The request was {method}",
                "Try again, or name another node with --rpc",
            ) from error
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code if error.response is not None else "an error"
            raise NodeUnreachableError(
                f"The server at {self._shown} answered {method} with HTTP status {status}",
                "It is no JSON-RPC node, or refuses this client",
                "Check the address given with --rpc",
            ) from error
        except (requests.exceptions.RequestException, OSError) as error:
            raise NodeUnreachableError(
                f"There is no node at {self._shown}",
                _reason(error),
                "Start one (`llamafund devnet` is one for trying things out), or name another with --rpc",
            ) from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._nonsense(method) from error
        if not isinstance(response, dict) or ("result" in response) == ("error" in response):
            raise self._nonsense(method)
        return response

    def _nonsense(self, method: str) -> NodeUnreachableError:
        return NodeUnreachableError(
            f"The server at {self._shown} answered {method} with something that is not JSON-RPC",
            "It is not a node of an Ethereum chain",
            "Check the address given with --rpc",
        )


def _reason(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    if "refused" in str(error):
        return "Connection refused"
    if "resolve" in str(error) or "Name or service" in str(error):
        return "Its name cannot be resolved"
    return "No connection could be made"
