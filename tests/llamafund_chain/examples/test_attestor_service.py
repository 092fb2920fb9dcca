"""The example of a service that co-signs: signs, refuses with the reason, or waits."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from llamafund_chain import Attestation, AttestationFile, merge, open_store, propose

SERVICE = Path(__file__).resolve().parents[3] / "examples" / "attestor_service" / "service.py"


@pytest.fixture
def service() -> ModuleType:
    spec = spec_from_file_location("attestor_service", SERVICE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    inbox, outbox = tmp_path / "inbox", tmp_path / "outbox"
    inbox.mkdir()
    outbox.mkdir()
    return inbox, outbox


def hand_in(stage, inbox: Path, name: str, statement: Attestation) -> None:
    """Put what the first attestor signed into the inbox."""
    chain, campaign, first = stage.devnet.connection.chain_id, stage.client.address, stage.attestors[0]
    signatures = {first.address: statement.sign(first, chain, campaign)}
    AttestationFile.create(statement, chain, campaign, signatures).save(inbox / name)


def test_it_signs_what_holds_and_says_why_it_refuses_the_rest(
    stage, keystore: Path, folders: tuple[Path, Path]
) -> None:
    inbox, outbox = folders
    stage.honest_until(0)
    honest = propose(stage.client, 0, stage.run.dataset)
    hand_in(stage, inbox, "honest.json", honest)
    hand_in(stage, inbox, "lie.json", replace(honest, content_size=honest.content_size + 1))
    (inbox / "junk.json").write_text("{}")
    ran = subprocess.run(
        [
            *(sys.executable, SERVICE, stage.client.address, inbox, outbox, "--once"),
            *("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location),
            *("--key-file", keystore / "attestor2.json", "--passphrase-file", keystore / "passphrase"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert sorted(path.name for path in outbox.iterdir()) == ["honest.json", "junk.refused.txt", "lie.refused.txt"]
    file = AttestationFile.load(outbox / "honest.json")
    assert merge([file], stage.client.terms.attestors)[1] == 0b101
    assert "size" in (outbox / "lie.refused.txt").read_text()


def test_its_own_check_refuses_and_a_store_without_the_file_makes_it_wait(
    stage, service: ModuleType, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, outbox = folders
    stage.honest_until(0)
    hand_in(stage, inbox, "data.json", propose(stage.client, 0, stage.run.dataset))
    (tmp_path / "empty").mkdir()
    empty = open_store(str(tmp_path / "empty"))
    assert service.Service(stage.client, empty, stage.attestors[2], 0, ()).answer(inbox, outbox) == 1
    assert list(outbox.iterdir()) == []
    monkeypatch.setattr(service, "OPEN", frozenset({"MIT"}))
    assert service.Service(stage.client, stage.run.store, stage.attestors[2], 0, ()).answer(inbox, outbox) == 0
    assert "license-is-open" in (outbox / "data.refused.txt").read_text()
