"""`llamafund review`: what anybody says of a proposal, and what of that is checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from review_examples import signed_review

from llamafund_chain.campaign.reviews import MAX_CHARACTERS
from llamafund_chain.evidence.manifests import ReviewManifest, load_manifest
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import publish_manifest

WORDS = "# The baseline is weak\n\nCounting letters does better.\n\u202eevil\x1b[2J\n"
ETHER = 10**18
# Accepts every signature that begins with 0x22 (ERC-1271).
WALLET = bytes.fromhex("60218060093d393df3631626ba7e60e01b60005260643560f81c602214601b57600080fd5b60206000f3")


@pytest.fixture
def write(llamafund, stage, tmp_path: Path):
    """Runs `review write` with the words in a file."""

    def run(*more: object, words: str | bytes = WORDS, wallet: str = "backer0", yes: bool = True):
        file = tmp_path / "review.md"
        file.write_bytes(words if isinstance(words, bytes) else words.encode())
        where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location)
        agreed = ("--yes",) if yes else ()
        return llamafund("review", "write", stage.client.address, file, *where, *agreed, "--json", *more, wallet=wallet)

    return run


@pytest.fixture
def listed(llamafund, stage):
    """Runs `review list`."""

    def run(*more: object, store: object = None):
        where = ("--rpc", stage.devnet.rpc_url, "--store", store or stage.run.store.location)
        return llamafund("review", "list", stage.client.address, *where, *more)

    return run


def test_a_review_is_found_with_what_its_reviewer_has_at_stake(stage, write, listed) -> None:
    stage.open()
    assert "None was named or is in a directory" in listed().stdout
    stage.client.pledge(stage.backers[0], 2 * ETHER)
    first = write().json
    second = write(words="I know nothing of this.", wallet="stranger").json
    found = {one["review"]: one for one in listed("--json").json["reviews"]}
    assert set(found) == {first["review"], second["review"]}
    assert found[first["review"]] == {
        "review": first["review"],
        "verdict": "genuine",
        "problem": None,
        "reviewer": stage.backers[0].address,
        "written": first["written"],
        "text": WORDS.strip(),
        "pledge": "2",
        "asset": "ETH",
        "roles": [],
        "records": [{"role": "backer", "campaigns": [stage.client.address]}],
    }
    assert found[second["review"]]["pledge"] == "0"
    assert found[second["review"]]["records"] == []
    shown = listed().stdout
    assert "2 ETH pledged here, and is backer in 1 of this chain's campaigns" in shown
    assert "  | \\u{202e}evil\\u{1b}[2J" in shown
    assert "\u202e" not in shown


def test_whoever_gets_or_releases_the_money_reviews_as_that(stage, write, listed) -> None:
    stage.open()
    write(wallet="researcher")
    (one,) = listed("--json").json["reviews"]
    assert one["roles"] == ["researcher", "payee 0"]
    assert "  is researcher and payee 0 of this campaign" in listed().stdout


def test_a_review_is_passed_on_as_a_hash_or_as_a_file(stage, write, listed, tmp_path: Path) -> None:
    stage.open()
    made = write("--out", tmp_path / "review.json").json
    assert load_manifest(ReviewManifest, tmp_path / "review.json").sha256 == made["review"]
    assert made["file"]
    empty = tmp_path / "empty"
    for named in (made["review"], tmp_path / "review.json"):
        assert [one["verdict"] for one in listed("--json", named).json["reviews"]] == ["genuine"]
    assert listed("--json", tmp_path / "review.json", store=empty).json["reviews"][0]["text"] == WORDS.strip()
    missing = listed(made["review"], store=empty)
    missing.refused(7, "1 review that you named is unchecked")
    assert "could not be checked" in missing.stdout


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"text": "Superb."}, "did not sign it"),
        ({"written": 1}, "did not sign it"),
        ({"reviewer": "0x" + "ab" * 20}, "did not sign it"),
        ({"proposal": "ab" * 32}, "reviews another proposal"),
        ({"campaign": "eip155:31337:0x" + "ab" * 20}, "is a review of eip155:31337:0x" + "ab" * 20),
        ({"campaign": "eip155:1:0x" + "ab" * 20}, "is a review of eip155:1:0x" + "ab" * 20),
        ({"signature": "0x" + "00" * 65}, "did not sign it"),
        ({"signature": "0x01"}, "did not sign it"),
    ],
)
def test_what_nobody_signed_is_shown_to_nobody(
    stage, listed, changes: dict[str, object], why: str, tmp_path: Path
) -> None:
    stage.open()
    store = LocalStore(tmp_path / "store")
    forged = publish_manifest(store, signed_review(stage, b"\x07" * 32, **changes))
    ran = listed(forged, "--json", store=store.location)
    assert ran.code == 3
    (one,) = ran.json["reviews"]
    assert (one["verdict"], one["text"], one["reviewer"]) == ("refused", None, None)
    assert why in one["problem"]
    # Somebody else's forgery in a store is nobody's mistake who looks.
    assert listed(store=store.location).code == 0


def test_the_signature_of_a_wallet_contract_is_asked_of_it(stage, listed, tmp_path: Path) -> None:
    stage.open()
    contract = stage.devnet.deploy(WALLET)
    store = LocalStore(tmp_path / "store")
    genuine, other = (
        publish_manifest(store, signed_review(stage, b"\x07" * 32, reviewer=contract, signature=signature))
        for signature in ("0x2233", "0x33")
    )
    verdicts = {one["review"]: one["verdict"] for one in listed("--json", store=store.location).json["reviews"]}
    assert verdicts == {genuine: "genuine", other: "unchecked"}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (" \n", "has 0 characters"),
        ("w" * (MAX_CHARACTERS + 1), "has 20001 characters"),
        (b"\xff\xfe", "is not text"),
        ("w" * 300_000, "longer than 262144 bytes"),
    ],
)
def test_a_text_that_is_no_review_is_refused_before_anybody_signs(stage, write, words: str | bytes, why: str) -> None:
    stage.open()
    write(words=words).refused(2, why)


def test_nothing_is_signed_without_a_yes(stage, write) -> None:
    stage.open()
    before = LocalStore(Path(stage.run.store.location)).contents()
    write(yes=False).unasked("Sign this review", "can never be taken back")
    assert LocalStore(Path(stage.run.store.location)).contents() == before
