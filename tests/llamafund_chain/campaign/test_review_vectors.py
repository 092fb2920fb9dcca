"""Reviews that others can test their own program with, the same for the command line and for the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from llamafund_chain.campaign.reviews import read_review, typed_data
from llamafund_chain.chain.signatures import digest_of, usual_form
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import ReviewManifest, parse_as

VECTORS = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "reviews.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS["genuine"], ids=lambda vector: vector["name"])
def test_a_published_review_is_made_again_byte_for_byte(vector: dict) -> None:
    account, text = Account.from_key(vector["key"]), vector["text"] * vector["times"]
    document = typed_data(vector["chain"], vector["campaign"], vector["proposal"], vector["written"], text)
    assert f"0x{digest_of(encode_typed_data(full_message=document)).hex()}" == vector["digest"]
    signature = f"0x{account.sign_typed_data(full_message=document).signature.hex().removeprefix('0x')}"
    assert (account.address, signature) == (vector["reviewer"], vector["signature"])
    manifest = ReviewManifest(
        campaign=f"eip155:{vector['chain']}:{vector['campaign']}",
        proposal=vector["proposal"],
        reviewer=account.address,
        written=vector["written"],
        text=text,
        signature=signature,
    )
    assert (manifest.sha256, raw_cid(manifest.sha256)) == (vector["sha256"], vector["cid"])
    assert parse_as(ReviewManifest, manifest.to_bytes(), sha256=vector["sha256"]) == manifest


@pytest.mark.parametrize("form", VECTORS["forms"].values(), ids=VECTORS["forms"].keys())
def test_a_published_form_of_a_signature_is_the_signers(form: str) -> None:
    plain = VECTORS["genuine"][0]
    digest = bytes.fromhex(plain["digest"][2:])
    usual = usual_form(digest, bytes.fromhex(form[2:]), plain["reviewer"])
    assert usual == bytes.fromhex(plain["signature"][2:])


@pytest.mark.parametrize("text", VECTORS["malformed"])
def test_what_is_published_as_no_review_is_none(text: str) -> None:
    with pytest.raises(LlamafundError):
        parse_as(ReviewManifest, text.encode())


def test_the_white_space_around_a_text_is_left_out(tmp_path: Path) -> None:
    for typed, text in VECTORS["stripped"]:
        (tmp_path / "review.md").write_text(typed, encoding="utf-8", newline="")
        if text:
            assert read_review(tmp_path / "review.md") == text
        else:
            with pytest.raises(LlamafundError):
                read_review(tmp_path / "review.md")
