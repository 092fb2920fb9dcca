"""Who signed an attestation."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from world import ATTESTATION_TYPES, DAY, ETHER, Campaign, World, refused

HONEST, YES, NO, BURN_GAS, RETURN_BOMB, RETURN_SHORT, RETURN_TRUE, REVERT = range(8)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def _signed(campaign: Campaign, *attestors: int) -> tuple[dict[str, Any], list[bytes]]:
    attestation = campaign.attestation()
    digest = campaign.digest(attestation)
    return attestation, [campaign.world.sign(index, digest) for index in attestors]


@pytest.mark.parametrize("signers", [0b011, 0b101, 0b110, 0b111])
def test_any_quorum_will_do(active: Campaign, signers: int) -> None:
    active.submit(active.attestation(), signers)
    assert active.ledger["attested"] == 1


@pytest.mark.parametrize(("signers", "count"), [(0b000, 0), (0b001, 1), (0b100, 1)])
def test_threat_fewer_than_the_quorum_do_not_suffice(active: Campaign, signers: int, count: int) -> None:
    with refused("Campaign_QuorumNotMet", 2, count):
        active.submit(active.attestation(), signers)


def test_every_named_signer_has_a_signature(active: Campaign) -> None:
    attestation, signatures = _signed(active, 0, 1, 2)
    with refused("Campaign_QuorumNotMet", 2, 1):
        active.submit(attestation, 0b011, signatures[:1])
    with refused("Campaign_QuorumNotMet", 2, 3):
        active.submit(attestation, 0b011, signatures)


@pytest.mark.parametrize("signers", [0b1011, 1 << 255 | 0b11])
def test_a_signer_that_the_terms_do_not_name_is_refused(active: Campaign, signers: int) -> None:
    with refused("Campaign_UnknownSigner", signers):
        active.submit(active.attestation(), signers)


def test_a_stranger_does_not_sign_for_an_attestor(world: World, active: Campaign) -> None:
    attestation, signatures = _signed(active, 0)
    forged = bytes(Account.from_key("0x" + "77" * 32).unsafe_sign_hash(active.digest(attestation)).signature)
    with refused("Campaign_BadSignature", world.attestors[1].address):
        active.submit(attestation, 0b011, [*signatures, forged])


def test_one_bad_signature_spoils_even_a_quorum(world: World, active: Campaign) -> None:
    attestation, signatures = _signed(active, 0, 1)
    with refused("Campaign_BadSignature", world.attestors[2].address):
        active.submit(attestation, 0b111, [*signatures, signatures[0]])


def test_duplicate_and_unordered_signatures_are_refused(world: World, active: Campaign) -> None:
    attestation, (first, second) = _signed(active, 0, 1)
    with refused("Campaign_BadSignature", world.attestors[1].address):
        active.submit(attestation, 0b011, [first, first])
    with refused("Campaign_BadSignature", world.attestors[0].address):
        active.submit(attestation, 0b011, [second, first])


def test_threat_malleable_and_misshapen_signatures_are_refused(world: World, active: Campaign) -> None:
    attestation, (first, second) = _signed(active, 0, 1)
    r, s, v = first[:32], int.from_bytes(first[32:64], "big"), first[64]
    twin = r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    compact = r + ((v - 27) << 255 | s).to_bytes(32, "big")
    for bad in (twin, compact, b"", first[:64], first + b"\0", bytes(65), first[:64] + bytes([v - 27])):
        with refused("Campaign_BadSignature", world.attestors[0].address):
            active.submit(attestation, 0b011, [bad, second])
    active.submit(attestation, 0b011, [first, second])


@pytest.mark.parametrize("field", ["evidence", "contentRoot", "contentSize", "score", "expiry"])
def test_threat_a_signature_pays_for_nothing_but_what_it_says(world: World, field: str) -> None:
    active = world.open(dataset=bytes(32)).funded().activated()
    attestation, signatures = _signed(active, 0, 1)
    value = attestation[field]
    changed = {**attestation, field: b"\x99" * 32 if isinstance(value, bytes) else value + 1}
    with refused("Campaign_BadSignature", world.attestors[0].address):
        active.submit(changed, 0b011, signatures)


def test_threat_a_signature_for_one_campaign_is_worth_nothing_in_another(world: World) -> None:
    first, second = (world.open().funded().activated() for _ in range(2))
    attestation, signatures = _signed(first, 0, 1)
    with refused("Campaign_BadSignature", world.attestors[0].address):
        second.submit(attestation, 0b011, signatures)
    first.submit(attestation, 0b011, signatures)


def test_threat_a_signature_for_another_chain_is_refused(world: World, active: Campaign) -> None:
    attestation = active.attestation()
    domain = {
        "name": "LlamaFund Campaign",
        "version": "1",
        "chainId": world.w3.eth.chain_id + 1,
        "verifyingContract": active.address,
    }
    signatures = [
        bytes(Account.sign_typed_data(attestor.key, domain, ATTESTATION_TYPES, attestation).signature)
        for attestor in world.attestors[:2]
    ]
    with refused("Campaign_BadSignature", world.attestors[0].address):
        active.submit(attestation, 0b011, signatures)


def test_threat_a_used_signature_cannot_be_used_again(active: Campaign) -> None:
    attestation, signatures = _signed(active, 0, 1)
    active.submit(attestation, 0b011, signatures)
    active.window_passed()
    with refused("Campaign_WrongMilestone", 1, 0):
        active.submit(attestation, 0b011, signatures)


# ------------------------------------------------------------- contract wallets


def _with_wallet(world: World, mood: int = HONEST) -> tuple[Campaign, Any]:
    """A campaign whose first attestor is a wallet contract owned by the first attestor's key."""
    wallet = world.deploy("Wallet", world.attestors[0].address)
    world.send(wallet.functions.setMood(mood), world.stranger)
    attestors = [wallet.address, world.attestors[1].address, world.attestors[2].address]
    return world.open(attestors=attestors).funded().activated(), wallet


def test_a_contract_wallet_signs_by_erc_1271(world: World) -> None:
    campaign, _ = _with_wallet(world)
    campaign.attest()
    assert campaign.ledger["attested"] == 1


def test_a_contract_wallet_that_refuses_has_not_signed(world: World) -> None:
    campaign, wallet = _with_wallet(world)
    attestation, signatures = _signed(campaign, 2, 1)
    with refused("Campaign_BadSignature", wallet.address):
        campaign.submit(attestation, 0b011, signatures)


def test_a_wallet_that_says_yes_to_everything_counts_for_itself_alone(world: World) -> None:
    campaign, _ = _with_wallet(world, YES)
    attestation = campaign.attestation()
    with refused("Campaign_BadSignature", world.attestors[1].address):
        campaign.submit(attestation, 0b011, [b"anything", b"anything"])
    campaign.submit(attestation, 0b011, [b"", world.sign(1, campaign.digest(attestation))])


@pytest.mark.parametrize("mood", [NO, RETURN_SHORT, RETURN_TRUE, REVERT])
def test_any_answer_but_the_magic_value_is_no(world: World, mood: int) -> None:
    campaign, wallet = _with_wallet(world, mood)
    with refused("Campaign_BadSignature", wallet.address):
        campaign.attest()


@pytest.mark.parametrize("mood", [BURN_GAS, RETURN_BOMB])
def test_threat_a_wallet_burns_and_returns_only_so_much(world: World, mood: int) -> None:
    campaign, wallet = _with_wallet(world, mood)
    attestation, signatures = _signed(campaign, 0, 1)
    call = campaign.functions.attest(attestation, 0b011, signatures)
    if mood == BURN_GAS:
        with refused("Campaign_BadSignature", wallet.address):
            world.send(call, world.stranger, gas=800_000)
    else:
        receipt = world.send(call, world.stranger, gas=1_300_000)
        assert receipt["gasUsed"] < 1_200_000
    # The others do not depend on it.
    if mood == BURN_GAS:
        campaign.submit(attestation, 0b110)
    assert campaign.ledger["attested"] == 1


def test_threat_a_wallet_that_revokes_its_signature_later_changes_nothing(world: World) -> None:
    campaign, wallet = _with_wallet(world)
    campaign.attest()
    world.send(wallet.functions.setMood(NO), world.stranger)
    campaign.window_passed()

    campaign.claim(0)

    assert campaign.ledger["attested"] == 1
    assert campaign.read("claimed", 0) == 2 * ETHER * 7 // 10


def test_an_account_with_delegated_code_still_signs_with_its_key(world: World) -> None:
    # EIP-7702 gives a key's account code; here the code refuses every signature.
    wallet = world.deploy("Wallet", world.stranger)
    code = "0x" + bytes(world.w3.eth.get_code(wallet.address)).hex()
    world.rpc("anvil_setCode", world.attestors[0].address, code)
    campaign = world.open().funded().activated()

    campaign.submit(campaign.attestation(), 0b011)

    assert campaign.ledger["attested"] == 1


def test_threat_old_signatures_expire(world: World, active: Campaign) -> None:
    attestation = active.attestation(expiry=world.now() + DAY)
    signatures = [world.sign(index, active.digest(attestation)) for index in (0, 1)]
    with refused("Campaign_AttestationExpired", attestation["expiry"]):
        active.submit(attestation, 0b011, signatures, at=attestation["expiry"])
