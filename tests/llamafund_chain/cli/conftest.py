"""Somebody at a terminal, and crowds of campaigns."""

from __future__ import annotations

import sys

import pytest

from llamafund_chain.chain import abi


class Keyboard:
    """A terminal on which somebody has typed ahead."""

    def __init__(self, typed: str) -> None:
        self._lines = typed.splitlines(keepends=True)

    def isatty(self) -> bool:
        return True

    def readline(self, *_: object) -> str:
        # What is typed shows on the terminal, the end of the line, too.
        line = self._lines.pop(0) if self._lines else ""
        sys.stderr.write(line)
        return line


@pytest.fixture
def answering(llamafund, stage, monkeypatch: pytest.MonkeyPatch):
    """Runs a command on the stage's chain for somebody who answers its question; `answering("y", "refund", …)`."""

    def run(answer: str, *words: object, wallet: str):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", Keyboard(f"{answer}\n"))
            return llamafund(*words, "--rpc", stage.devnet.rpc_url, wallet=wallet)

    return run


@pytest.fixture
def crowd(stage):
    """Opens many campaigns with the terms of the stage's one, each in a block of its own."""

    def open_(number: int) -> None:
        connection, researcher = stage.devnet.connection, stage.researcher.address
        interface, factory = abi.contract("CampaignFactory"), stage.devnet.deployment.factory
        connection.request("anvil_impersonateAccount", researcher)
        # Mining by itself, anvil answers first and mines later: how many blocks there are then depends on its haste.
        connection.request("evm_setAutomine", False)
        for salt in range(1, number + 1):
            data = interface.encode("createCampaign", stage.client.terms.to_abi(), salt.to_bytes(32, "big"))
            fields = {"from": researcher, "to": factory, "data": f"0x{data.hex()}", "gas": hex(1_000_000)}
            connection.request("eth_sendTransaction", fields)
            connection.request("evm_mine")
        connection.request("evm_setAutomine", True)
        connection.request("anvil_stopImpersonatingAccount", researcher)

    return open_
