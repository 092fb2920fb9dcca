"""One valid manifest of each kind as an object, for tests to change."""

from __future__ import annotations

from typing import Any

from llamafund_chain.evidence.hashing import hash_bytes

ADDRESS = "0x" + "a1" * 20


def file(path: str, data: bytes = b"data") -> dict[str, Any]:
    digest = hash_bytes(data)
    return {"path": path, "size": digest.size, "sha256": digest.sha256, "cid": digest.cid}


def proposal(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "llamafund/proposal/1",
        "title": "A model",
        "summary": "Short.",
        "objectives": ["one"],
        "outcome": {"metric": "loss", "direction": "lower", "target": 2_000_000, "evaluation": "mean"},
        "dataset": {"manifest": None, "description": "texts", "sources": ["here"], "license": "CC0-1.0"},
        "model": "Llama",
        "recipe": None,
        "compute": "two cores",
        "budget": "one coin",
        "milestones": [{"kind": "WEIGHTS", "title": "Weights", "description": "published"}],
        "license": "Apache-2.0",
        "researcher": {"name": "R", "address": ADDRESS, "promise": ""},
        "attestors": [{"name": "A", "address": ADDRESS, "promise": "to look"}],
        **changes,
    }


def update(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "llamafund/update/1",
        "campaign": f"eip155:1:{ADDRESS}",
        "title": "The data is ready",
        "text": "All of it.",
        "links": [{"title": "The data", "sha256": "3" * 64}],
        **changes,
    }


def review(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "llamafund/review/1",
        "campaign": f"eip155:1:{ADDRESS}",
        "proposal": "5" * 64,
        "reviewer": ADDRESS,
        "written": 1_800_000_000,
        "text": "The baseline is weak.",
        "signature": "0x" + "1b" * 65,
        **changes,
    }


def dispute(**changes: Any) -> dict[str, Any]:
    report = file("audit.json")
    del report["path"]
    return {
        "schema": "llamafund/dispute/1",
        "campaign": f"eip155:1:{ADDRESS}",
        "milestone": 2,
        "attestation": "6" * 64,
        "name": "Other weights than the trained ones",
        "description": "They do not follow from the last checkpoint.",
        "fileURI": f"/ipfs/{report['cid']}",
        "reports": [{"command": "audit", "said": "It does not hold.", **report}],
        **changes,
    }


def dataset(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "llamafund/dataset/1",
        "title": "Texts",
        "files": [file("heldout/b"), file("train/a")],
        "content": {"root": "0" * 64, "size": 8},
        "parts": [
            {"name": "train", "paths": ["train/a"], "source": "s", "license": "l", "samples": 1},
            {"name": "heldout", "paths": ["heldout/b"], "source": "s", "license": "l", "samples": 1},
        ],
        "preparation": "none",
        "tokens": None,
        **changes,
    }


def checkpoint(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "llamafund/checkpoint/1",
        "files": [file("model.safetensors")],
        "content": {"root": "0" * 64, "size": 4},
        "parent": "1" * 64,
        "steps": {"first": 0, "last": 20},
        "recipe": "2" * 64,
        "dataset": "3" * 64,
        "seed": "4" * 64,
        "data_order_seed": 7,
        "metrics": {"train_loss": -1},
        "environment": {"torch": "2"},
        "chain": ["5" * 64],
        "outcome_score": None,
        **changes,
    }


def weights(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "llamafund/weights/1",
        "files": [file("README.md"), file("model.safetensors")],
        "content": {"root": "0" * 64, "size": 8},
        "parent": "1" * 64,
        "recipe": "2" * 64,
        "dataset": "3" * 64,
        "license": "Apache-2.0",
        "model_card": "README.md",
        "metrics": {},
        "measurement": "by hand",
        "parameters": 12,
        "outcome_score": -5,
        **changes,
    }
