"""Only the challenged bytes, at their place, in time, answer a challenge; whoever shows them takes the bond."""

from __future__ import annotations

import random

import pytest
from content import CHUNK, Bytes, OneKnownChunk
from world import ACTIVE, ETHER, FAILED, Campaign, RevertedError, World, data_of, refused

CONTENT = Bytes(4 * CHUNK + 100)


@pytest.fixture
def challenged(active: Campaign) -> Campaign:
    """Chunk 1 of five is challenged."""
    active.attest_content(CONTENT)
    active.challenge(CONTENT, 1)
    return active


def test_anyone_answers_and_takes_the_bond(world: World, challenged: Campaign) -> None:
    bond = challenged.read("openChallenge", 0)[3]
    held = world.balance(challenged.address)
    before = world.balance(world.stranger)

    receipt = challenged.answer(CONTENT, 1)

    assert challenged.events("ChallengeAnswered", receipt) == [
        {"milestone": 0, "chunk": 1, "answerer": world.stranger, "bond": bond}
    ]
    cost = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert world.balance(world.stranger) - before == bond - cost
    assert held - world.balance(challenged.address) == bond
    assert (challenged.ledger["challengedAt"], challenged.read("openChallenges")) == (0, 0)
    with refused("Campaign_NoChallengeOpen"):
        challenged.read("openChallenge", 0)


@pytest.mark.parametrize("size", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK, 7 * CHUNK + 5])
def test_every_chunk_of_contents_of_all_shapes_can_be_answered(active: Campaign, size: int) -> None:
    content = Bytes(size)
    active.attest_content(content)
    chunks = range(-(-size // CHUNK))
    for chunk in chunks:
        active.challenge(content, chunk)
    for chunk in chunks:
        active.answer(content, chunk)
    assert active.ledger["challengedAt"] == 0


@pytest.mark.parametrize(
    "chunk", [0, 1, 4_272_460 // 2, 8_544_920, 8_544_921], ids=["first", "second", "middle", "last but one", "last"]
)
def test_a_chunk_of_140_gigabytes_is_answered_with_its_path(active: Campaign, chunk: int) -> None:
    size = 140 * 10**9
    content = OneKnownChunk(size, chunk)
    assert len(content.path(chunk)) <= 24
    active.attest_content(content)
    active.challenge(content, chunk)
    active.answer(content, chunk)
    assert active.ledger["challengedAt"] == 0


def test_the_deepest_path_costs_no_more_than_the_bond_covers(world: World, active: Campaign) -> None:
    content = OneKnownChunk(2**64 - 1, 2**50 - 2)
    assert len(content.path(2**50 - 2)) == 50
    active.attest_content(content)
    active.challenge(content, 2**50 - 2)
    receipt = active.answer(content, 2**50 - 2)
    assert receipt["gasUsed"] <= 750_000


def test_calldata_of_the_worst_answer_costs_no_more_than_the_bond_covers(active: Campaign) -> None:
    content = OneKnownChunk(2**64 - 1, 2**50 - 2)
    chunk = 2**50 - 2
    call = active.functions.answer(b"\xff" * 32, content.size, chunk, b"\xff" * CHUNK, [b"\xff" * 32] * 50)
    # EIP-7623: 10 for each token, of which a byte that is not zero makes four; prague charges it, cancun not yet.
    data = data_of(call)
    tokens = data.count(0) + 4 * (len(data) - data.count(0))
    assert 21_000 + 10 * tokens <= 750_000
    # EIP-7976 would charge 64 for every byte.
    assert 21_000 + 64 * len(data) <= 1_250_000


def test_the_wrong_bytes_are_refused(challenged: Campaign) -> None:
    data = CONTENT.chunk(1)
    for position in (0, CHUNK // 2, CHUNK - 1):
        wrong = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with refused("Campaign_WrongChunk", 1):
            challenged.answer(CONTENT, 1, data=wrong)


def test_another_chunk_with_its_own_path_is_refused(challenged: Campaign) -> None:
    for other in (0, 2, 3, 4):
        with refused("Campaign_WrongChunk", 1):
            challenged.answer(CONTENT, 1, data=CONTENT.chunk(other), path=CONTENT.path(other))
        with refused("Campaign_NotNextChallenge", 1, other):
            challenged.answer(CONTENT, other)


def test_a_chunk_of_the_wrong_length_is_refused(active: Campaign) -> None:
    active.attest_content(CONTENT)
    active.challenge(CONTENT, 4)
    data = CONTENT.chunk(4)
    for wrong in (data[:-1], data + b"\0", data + bytes(CHUNK - len(data)), b""):
        with refused("Campaign_WrongChunk", 4):
            active.answer(CONTENT, 4, data=wrong)
    active.answer(CONTENT, 4)


def test_an_inner_node_is_not_taken_for_a_chunk(active: Campaign) -> None:
    # Without prefixes the 64 bytes of a node would be a chunk of a smaller tree with the same root.
    whole = Bytes(2 * CHUNK)
    left, right = (whole.path(1)[0], whole.path(0)[0])
    forged = Bytes(64)
    forged.root = whole.root
    active.attest_content(forged)
    active.challenge(forged, 0)
    with refused("Campaign_WrongChunk", 0):
        active.answer(forged, 0, data=left + right, path=[])


def test_a_path_that_is_too_long_or_too_short_is_refused(challenged: Campaign) -> None:
    path = CONTENT.path(1)
    for wrong in ([*path, bytes(32)], [*path, CONTENT.root], path[:-1], path[1:], [], path[::-1], [*path, *path]):
        with refused("Campaign_WrongChunk", 1):
            challenged.answer(CONTENT, 1, path=wrong)


def test_a_proof_of_another_root_is_refused(challenged: Campaign) -> None:
    other = Bytes(CONTENT.size, seed=8)
    with refused("Campaign_WrongChunk", 1):
        challenged.answer(CONTENT, 1, data=other.chunk(1), path=other.path(1))
    with refused("Campaign_WrongContent", other.root, other.size):
        challenged.answer(other, 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_proof_with_any_bit_flipped_is_refused(challenged: Campaign, seed: int) -> None:
    rng = random.Random(seed)
    path = CONTENT.path(1)
    for level in range(len(path)):
        at = rng.randrange(32)
        broken = path[level][:at] + bytes([path[level][at] ^ (1 << rng.randrange(8))]) + path[level][at + 1 :]
        with refused("Campaign_WrongChunk", 1):
            challenged.answer(CONTENT, 1, path=[*path[:level], broken, *path[level + 1 :]])


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_an_answer_comes_before_the_answer_window_is_over(world: World, challenged: Campaign, late: int) -> None:
    end = challenged.answer_by
    if late < 0:
        challenged.answer(CONTENT, 1, at=end + late)
        assert challenged.status == ACTIVE
    else:
        with refused("Campaign_WrongStatus", FAILED):
            challenged.answer(CONTENT, 1, at=end + late)


def test_nothing_is_answered_that_nobody_challenged(active: Campaign, world: World) -> None:
    active.attest_content(CONTENT)
    with refused("Campaign_NoChallengeOpen"):
        active.answer(CONTENT, 0)
    active.challenge(CONTENT, 0)
    active.answer(CONTENT, 0)
    with refused("Campaign_NoChallengeOpen"):
        active.answer(CONTENT, 0)


def test_challenges_are_answered_in_the_order_in_which_they_were_made(world: World, active: Campaign) -> None:
    active.attest_content(CONTENT)
    for chunk in (3, 0, 4):
        active.challenge(CONTENT, chunk)
    assert [active.read("openChallenge", i)[0] for i in range(3)] == [3, 0, 4]
    with refused("Campaign_NotNextChallenge", 3, 0):
        active.answer(CONTENT, 0)
    for chunk in (3, 0, 4):
        active.answer(CONTENT, chunk)
    assert active.ledger["challengedAt"] == 0


@pytest.mark.parametrize("mood", [1, 2, 3], ids=["refuse", "burn gas", "return bomb"])
def test_an_answerer_that_cannot_be_paid_harms_only_itself(world: World, challenged: Campaign, mood: int) -> None:
    puppet = world.deploy("Puppet")
    world.send(puppet.functions.setMood(mood), world.stranger)
    data = data_of(challenged.functions.answer(CONTENT.root, CONTENT.size, 1, CONTENT.chunk(1), CONTENT.path(1)))
    with pytest.raises(RevertedError):
        world.send(puppet.functions.execute(challenged.address, 0, data), world.stranger)
    assert challenged.read("openChallenges") == 1
    challenged.answer(CONTENT, 1)


def test_threat_an_answerer_that_reenters_is_paid_once(world: World, active: Campaign) -> None:
    active.attest_content(CONTENT)
    active.challenge(CONTENT, 1, bond=ETHER)
    active.challenge(CONTENT, 2, by=world.backer1, bond=ETHER)
    puppet = world.deploy("Puppet")
    answers = [
        data_of(active.functions.answer(CONTENT.root, CONTENT.size, chunk, CONTENT.chunk(chunk), CONTENT.path(chunk)))
        for chunk in (1, 2)
    ]
    for again in answers:
        before = world.devnet.snapshot()
        world.send(puppet.functions.setReentry(active.address, again), world.stranger, gas=25_000_000)
        world.send(puppet.functions.execute(active.address, 0, answers[0]), world.stranger)
        assert world.call(puppet.functions.reentered()) is False
        assert world.balance(puppet.address) == ETHER
        assert active.read("openChallenges") == 1
        world.devnet.revert(before)
