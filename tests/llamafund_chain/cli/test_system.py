"""What another system than Linux cannot do is told by the commands for which it matters."""

from __future__ import annotations

import pytest

from llamafund_chain.cli import system


def test_linux_lacks_nothing_and_others_are_told(llamafund, stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.open()

    def audit(depth: str) -> str:
        store = stage.run.store.location
        words = ("audit", stage.client.address, "--depth", depth, "--rpc", stage.devnet.rpc_url, "--store", store)
        return llamafund(*words).stderr

    monkeypatch.setattr(system, "LINUX", True)
    assert system.missing() == ()
    assert "nothing limits" not in audit("weights")
    assert "On this system" not in llamafund("--version").stdout
    monkeypatch.setattr(system, "LINUX", False)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert f"Note: on Darwin {system.UNBOUNDED}." in audit("weights")
    assert "nothing limits" not in audit("books")
    told = llamafund("--version").stdout
    assert [f"On this system {what}." in told for what in system.missing()] == [True, True]
