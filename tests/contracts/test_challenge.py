"""Who may challenge which chunk, until when, and for what bond; and what waits meanwhile."""

from __future__ import annotations

import pytest
from content import CHUNK, Bytes
from world import ACTIVE, COMPLETED, DAY, ETHER, FAILED, Campaign, World, refused

CONTENT = Bytes(2 * CHUNK + 1)


@pytest.fixture
def attested(active: Campaign) -> Campaign:
    """Its first milestone is attested, with three chunks of content."""
    active.attest_content(CONTENT)
    return active


def test_a_backer_challenges_a_chunk_for_a_bond(world: World, attested: Campaign) -> None:
    before = world.balance(attested.address)

    receipt = attested.challenge(CONTENT, 1, bond=ETHER // 50)

    now = world.now()
    assert attested.events("Challenged", receipt) == [
        {
            "milestone": 0,
            "chunk": 1,
            "challenger": world.backer0,
            "bond": ETHER // 50,
            "answerBy": now + 2 * DAY,
        }
    ]
    assert world.balance(attested.address) - before == ETHER // 50
    assert attested.ledger["challengedAt"] == now
    assert attested.read("openChallenges") == 1
    assert attested.read("openChallenge", 0) == (1, now, world.backer0, ETHER // 50)


def test_the_commitment_to_the_content_is_the_latest_attestations(world: World, active: Campaign) -> None:
    assert active.read("latestContent") == bytes(32)
    active.attest_content(CONTENT)
    expected = world.w3.keccak(CONTENT.root + CONTENT.size.to_bytes(32, "big"))
    assert active.read("latestContent") == expected


def test_whoever_never_pledged_cannot_challenge(world: World, attested: Campaign) -> None:
    with refused("Campaign_NotBacker", world.stranger):
        attested.challenge(CONTENT, 0, by=world.stranger)


def test_nothing_can_be_challenged_before_the_first_attestation(active: Campaign) -> None:
    with refused("Campaign_WindowOver", 0):
        active.challenge(CONTENT, 0)


def test_nothing_can_be_challenged_while_funding(campaign: Campaign, world: World) -> None:
    campaign.pledge(world.backer0, ETHER)
    with refused("Campaign_WrongStatus", 0):
        campaign.challenge(CONTENT, 0)


@pytest.mark.parametrize("early", [1, 0, -1])
def test_the_window_is_half_open_at_its_last_second(world: World, attested: Campaign, early: int) -> None:
    end = attested.window_end
    if early > 0:
        attested.challenge(CONTENT, 0, at=end - early)
        assert attested.status == ACTIVE
    else:
        with refused("Campaign_WindowOver", end):
            attested.challenge(CONTENT, 0, at=end - early)


def test_only_what_was_attested_last_can_be_challenged(world: World, attested: Campaign) -> None:
    other = Bytes(CONTENT.size, seed=8)
    with refused("Campaign_WrongContent", other.root, other.size):
        attested.challenge(other, 0)
    longer = Bytes(1)
    longer.root, longer.size = CONTENT.root, CONTENT.size + 1
    with refused("Campaign_WrongContent", CONTENT.root, CONTENT.size + 1):
        attested.challenge(longer, 0)
    attested.attest_content(other)
    with refused("Campaign_WrongContent", CONTENT.root, CONTENT.size):
        attested.challenge(CONTENT, 0)


@pytest.mark.parametrize(("size", "chunks"), [(1, 1), (CHUNK, 1), (CHUNK + 1, 2)])
def test_an_index_out_of_range_is_refused(active: Campaign, size: int, chunks: int) -> None:
    content = Bytes(size)
    active.attest_content(content)
    for chunk in (chunks, 2**64 - 1):
        with refused("Campaign_ChunkOutOfRange", chunks, chunk):
            active.challenge(content, chunk)
    active.challenge(content, chunks - 1)


def test_withheld_content_has_no_chunk_to_challenge(active: Campaign) -> None:
    nothing = Bytes(1)
    nothing.root, nothing.size = bytes(32), 0
    active.attest_content(nothing)
    with refused("Campaign_ChunkOutOfRange", 0, 0):
        active.challenge(nothing, 0)


def test_a_chunk_is_challenged_at_most_once_for_a_milestone(world: World, attested: Campaign) -> None:
    attested.challenge(CONTENT, 1)
    with refused("Campaign_AlreadyChallenged", 1):
        attested.challenge(CONTENT, 1, by=world.backer1)
    attested.answer(CONTENT, 1)
    for backer in (world.backer0, world.backer1):
        with refused("Campaign_AlreadyChallenged", 1):
            attested.challenge(CONTENT, 1, by=backer)
    attested.attest_content(CONTENT)
    attested.challenge(CONTENT, 1)
    assert attested.read("openChallenges") == 1


def test_a_bond_below_the_terms_is_refused(attested: Campaign) -> None:
    least = attested.terms["minBond"]
    assert attested.read("requiredBond") == least
    with refused("Campaign_BondTooSmall", least, least - 1):
        attested.challenge(CONTENT, 0, bond=least - 1)
    attested.challenge(CONTENT, 0, bond=least)


def test_threat_challenge_spam_costs_at_least_what_an_answer_costs(world: World, attested: Campaign) -> None:
    fee = 100 * 10**9
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))
    world.warp(world.now() + 1)
    assert attested.read("requiredBond") == 1_250_000 * fee
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))
    with refused("Campaign_BondTooSmall", 1_250_000 * fee, 1_250_000 * fee - 1):
        attested.challenge(CONTENT, 0, bond=1_250_000 * fee - 1)
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))
    attested.challenge(CONTENT, 0, bond=1_250_000 * fee)


def test_a_bond_that_the_record_cannot_hold_is_refused(world: World, attested: Campaign) -> None:
    world.rpc("anvil_setBalance", world.backer0, hex(2**100))
    with refused("Campaign_BondTooLarge", 2**96 - 1, 2**96):
        attested.challenge(CONTENT, 0, bond=2**96)
    attested.challenge(CONTENT, 0, bond=2**96 - 1)
    assert attested.read("openChallenge", 0)[3] == 2**96 - 1


def test_nothing_is_paid_while_a_challenge_is_open(world: World, attested: Campaign) -> None:
    attested.challenge(CONTENT, 0, at=attested.window_end - 1)
    attested.window_passed()
    assert (attested.read("released"), attested.read("claimable", 0)) == (0, 0)
    with refused("Campaign_NothingToClaim"):
        attested.claim(0)
    attested.answer(CONTENT, 0)
    assert attested.read("released") == 2 * ETHER
    attested.claim(0)


def test_the_next_milestone_waits_for_the_answer(world: World, attested: Campaign) -> None:
    attested.challenge(CONTENT, 0, at=attested.window_end - 1)
    with refused("Campaign_ChallengeOpen", attested.answer_by):
        attested.submit(attested.attestation(), at=attested.window_end + 1)
    attested.answer(CONTENT, 0)
    attested.attest()
    assert attested.ledger["attested"] == 2


def test_a_campaign_does_not_complete_while_a_challenge_is_open(world: World, active: Campaign) -> None:
    active.attested(2).attest_content(CONTENT)
    active.challenge(CONTENT, 2, at=active.window_end - 1)
    active.window_passed()
    assert active.status == ACTIVE
    active.answer(CONTENT, 2)
    assert active.status == COMPLETED
    assert active.read("released") == 10 * ETHER


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_silence_for_the_answer_window_fails_the_campaign(world: World, attested: Campaign, late: int) -> None:
    attested.challenge(CONTENT, 0)
    world.warp(attested.answer_by + late)
    assert attested.status == (ACTIVE if late < 0 else FAILED)
    if late >= 0:
        # Still inside the attestation's window, and long after it: the tranche is never released.
        assert attested.read("refundable", world.backer0) == 6 * ETHER
        world.warp(world.now() + 100 * DAY)
        assert (attested.status, attested.read("released")) == (FAILED, 0)
        attested.refund(world.backer0)
        attested.refund(world.backer1)


def test_the_oldest_open_challenge_decides(world: World, attested: Campaign) -> None:
    attested.challenge(CONTENT, 0)
    first = attested.answer_by
    world.warp(world.now() + DAY)
    attested.challenge(CONTENT, 2, by=world.backer1)
    second = world.now() + attested.terms["answerWindow"]
    assert attested.answer_by == first
    attested.answer(CONTENT, 0, at=first - 1)
    assert (attested.answer_by, attested.status) == (second, ACTIVE)
    world.warp(second)
    assert attested.status == FAILED


def test_an_earlier_tranche_stays_released_when_a_later_challenge_is_not_answered(
    world: World, attested: Campaign
) -> None:
    attested.attest_content(Bytes(5))
    attested.challenge(Bytes(5), 0)
    world.warp(attested.answer_by)
    assert attested.status == FAILED
    assert attested.read("released") == 2 * ETHER
    assert attested.read("refundable", world.backer0) == 6 * ETHER * 8 // 10
    attested.claim(0)


def test_a_stop_vote_goes_through_while_a_challenge_is_open_and_withholds_the_tranche(
    world: World, attested: Campaign
) -> None:
    attested.challenge(CONTENT, 0, at=attested.window_end - 1)
    attested.window_passed()
    attested.stopped()
    assert (attested.status, attested.ledger["withheld"]) == (FAILED, True)
    assert attested.read("released") == 0
    with refused("Campaign_WrongStatus", FAILED):
        attested.answer(CONTENT, 0)
    attested.return_bond(0)


def test_refund_and_challenge_again_is_refused(world: World, attested: Campaign) -> None:
    attested.challenge(CONTENT, 0)
    world.warp(attested.answer_by)
    attested.refund(world.backer0)
    with refused("Campaign_WrongStatus", FAILED):
        attested.challenge(CONTENT, 1, bond=ETHER)


def test_a_token_campaign_takes_its_bonds_in_the_native_coin(world: World) -> None:
    token = world.token()
    campaign = world.open(asset=token.address)
    for backer, amount in ((world.backer0, 6 * ETHER), (world.backer1, 4 * ETHER)):
        campaign.pledge_token(token, backer, amount)
    campaign.activated().attest_content(CONTENT)
    campaign.challenge(CONTENT, 0, bond=ETHER)
    assert (world.balance(campaign.address), campaign.held) == (ETHER, 10 * ETHER)
    before = world.balance(world.stranger)
    world.rpc("anvil_setNextBlockBaseFeePerGas", "0x0")
    campaign.answer(CONTENT, 0)
    assert (world.balance(campaign.address), campaign.held) == (0, 10 * ETHER)
    assert world.balance(world.stranger) - before > ETHER - ETHER // 100
