"""Stand-ins for servers, importable by the tests in this folder, and no credentials of the user's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from http_servers import LocalServer
from kubo_stand_in import KuboStandIn


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CREDENTIALS", "KUBO_TOKEN", "PIN_TOKEN", "GATEWAY_TOKEN"):
        monkeypatch.delenv(f"LLAMAFUND_{name}", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited for servers; nobody really waits."""
    seconds: list[float] = []
    monkeypatch.setattr("llamafund_chain.http.patience.pause", seconds.append)
    return seconds


@pytest.fixture
def node() -> KuboStandIn:
    return KuboStandIn()


@pytest.fixture
def rpc(node: KuboStandIn) -> Iterator[LocalServer]:
    with node.serve() as server:
        yield server
