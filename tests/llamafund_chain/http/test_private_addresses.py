"""Where a stranger's names may lead is judged when the connection is made, after the look-up."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from http_servers import Asked, Handler, LocalServer

from llamafund_chain.errors import NodeUnreachableError
from llamafund_chain.http.deadline import is_public_address
from llamafund_chain.http.transport import is_loopback
from llamafund_chain.store.http.client import WebClient, place_of


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::808:808", True),
        ("fec0::1", False),
        ("64:ff9b:1::a00:1", False),
        ("::10.0.0.1", False),
        ("::ffff:0:10.0.0.1", False),
    ],
)
def test_addresses_are_public_or_not(address: str, public: bool) -> None:
    assert is_public_address(address) is public


@pytest.fixture
def here() -> Iterator[LocalServer]:
    def answer(handler: Handler, asked: Asked) -> None:
        handler.reply(200, b"inside")

    with LocalServer(answer) as server:
        yield server


def look_up(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Let names lead to addresses; returns what was asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def found(name: Any, port: Any, *rest: Any, **options: Any) -> Any:
        asked.append(name)
        if name not in names:
            return real(name, port, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[name]]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return asked


def test_a_strangers_name_that_leads_inside_is_not_connected_to(
    here: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up(monkeypatch, {"models.example": ["127.0.0.1"]})
    url = f"http://models.example:{here.server_port}"
    hinted = WebClient(place_of(url, insecure=True), public=True)
    with (
        pytest.raises(NodeUnreachableError, match=r"models.example leads to the private address 127.0.0.1"),
        hinted.request("GET", "/x"),
    ):
        pass
    assert here.asked == []
    # Whoever types a name of the own network may mean it.
    with WebClient(place_of(url, insecure=True)).request("GET", "/x") as reply:
        assert reply.read_exactly(100) == b"inside"


def test_a_redirect_that_leads_inside_is_not_connected_to(here: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    target = f"https://cdn.example:{here.server_port}/x"
    look_up(monkeypatch, {"cdn.example": ["127.0.0.1"]})

    def answer(handler: Handler, asked: Asked) -> None:
        handler.reply(302, b"", {"Location": target})

    with (
        LocalServer(answer) as outside,
        pytest.raises(NodeUnreachableError, match="private address"),
        WebClient(place_of(outside.url)).request("GET", "/x"),
    ):
        pass
    assert here.asked == []


def test_names_below_localhost_are_this_machine(here: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = look_up(monkeypatch, {"localhost": ["127.0.0.1"]})
    assert is_loopback("bafyx.ipfs.localhost")
    assert not is_loopback("localhost.example")
    with WebClient(place_of(f"http://bafyx.ipfs.localhost:{here.server_port}")).request("GET", "/") as reply:
        assert reply.read_exactly(100) == b"inside"
    assert asked == ["localhost", "127.0.0.1"], "few resolvers know names below it"
