"""What the factory accepts, refuses and recognises."""

from __future__ import annotations

import random
from typing import Any

import pytest
from eth_account import Account
from world import CHECKPOINT, DATASET, DAY, ETHER, NO_MINIMUM, WEIGHTS, ZERO, Campaign, World, refused

from llamafund_chain.campaign.terms import Terms

BAD_SALT = bytes(31) + b"\xff"


def _milestones(start: int, *steps: tuple[int, int], gap: int = 30 * DAY) -> list[tuple[int, int, int, int]]:
    return [(kind, bps, start + gap * (i + 2), NO_MINIMUM) for i, (kind, bps) in enumerate(steps)]


def test_terms_are_read_back_as_they_were_given_and_emitted(world: World) -> None:
    terms = world.terms(dataset=bytes(32))
    salt = b"\x05" * 32

    receipt = world.send(world.factory.functions.createCampaign(terms, salt), world.researcher)

    (event,) = world.factory.events.CampaignCreated().process_receipt(receipt)
    campaign = world.campaign_at(event["args"]["campaign"])
    assert event["args"]["researcher"] == world.researcher
    assert event["args"]["proposal"] == terms["proposal"]
    assert event["args"]["salt"] == salt
    assert Terms.unpack(event["args"]["terms"]).to_abi() == tuple(campaign.functions.terms().call())
    assert tuple(campaign.functions.terms().call()) == tuple(terms.values())


@pytest.mark.parametrize("seed", range(6))
def test_any_accepted_terms_are_read_back_unchanged(world: World, seed: int) -> None:
    rng = random.Random(seed)
    now = world.now()
    count = rng.choice([1, 2, 16])
    challenge, answer = rng.randint(2 * DAY, 90 * DAY), rng.randint(DAY, 30 * DAY)
    deadline = now + rng.randint(DAY, 700 * DAY)
    kinds = [*sorted(rng.choice([DATASET, CHECKPOINT]) for _ in range(count - 1)), WEIGHTS]
    earlier = [rng.randint(1, 400) for _ in range(count - 1)]
    milestones, moment = [], deadline
    for kind, bps in zip(kinds, [*earlier, 10_000 - sum(earlier)], strict=True):
        moment += challenge + answer + rng.randint(0, DAY)
        milestones.append((kind, bps, moment, rng.randint(-(2**63), 2**63 - 1)))
    attestors = [Account.from_key(rng.randbytes(32)).address for _ in range(rng.choice([1, 16]))]
    payees = rng.choice([[10_000], [1, 9_999], [1_250] * 8])
    goal = rng.randint(1, 2**128 - 1)
    terms = world.terms(
        goal=goal,
        cap=rng.randint(goal, 2**128 - 1),
        fundingDeadline=deadline,
        stopBps=rng.randint(3_300, 8_000),
        challengeWindow=challenge,
        answerWindow=answer,
        minBond=rng.randint(10**12, 2**96 - 1),
        slack=rng.randint(0, 365 * DAY),
        proposal=rng.randbytes(32),
        dataset=rng.randbytes(32),
        attestors=attestors,
        quorum=rng.randint(1, len(attestors)),
        payees=[(Account.from_key(rng.randbytes(32)).address, bps) for bps in payees],
        milestones=milestones,
        **rng.choice([{}, {"arbiter": world.arbiter, "rulingWindow": rng.randint(7 * DAY, 90 * DAY)}]),
    )

    campaign = world.create(terms)

    assert tuple(campaign.read("terms")) == tuple(terms.values())
    assert campaign.read("deadlineOf", count - 1) == milestones[-1][2]


def test_the_address_is_known_beforehand_and_taken_only_once(world: World) -> None:
    terms = world.terms()
    predicted = world.factory.functions.predictCampaign(terms, BAD_SALT).call()

    campaign = world.create(terms, BAD_SALT)

    assert campaign.address == predicted
    with refused("FailedDeployment"):
        world.create(terms, BAD_SALT)
    assert world.create(terms, bytes(32)).address != predicted


@pytest.mark.parametrize("field", ["goal", "proposal", "milestones", "arbiter"])
def test_other_terms_have_another_address(world: World, field: str) -> None:
    terms = world.terms()
    change: Any = {"goal": terms["goal"] - 1, "proposal": b"\x12" * 32, "arbiter": world.arbiter}.get(field)
    if field == "milestones":
        change = [*terms["milestones"][:2], (*terms["milestones"][2][:3], 0)]

    addresses = {
        world.factory.functions.predictCampaign(variant, BAD_SALT).call()
        for variant in (terms, {**terms, field: change})
    }

    assert len(addresses) == 2


def test_nobody_opens_a_campaign_in_anothers_name(world: World) -> None:
    with refused("CampaignFactory_NotResearcher", world.stranger, world.researcher):
        world.create(world.terms(), sender=world.stranger)


def test_an_asset_needs_code(world: World) -> None:
    with refused("CampaignFactory_AssetWithoutCode", world.stranger):
        world.open(asset=world.stranger)


def test_a_proposal_is_needed_and_a_dataset_is_not(world: World) -> None:
    with refused("CampaignFactory_ZeroProposal"):
        world.open(proposal=bytes(32))
    world.open(dataset=bytes(32))


@pytest.mark.parametrize(("goal", "cap"), [(0, 1), (0, 0), (2, 1)])
def test_the_goal_lies_between_one_and_the_cap(world: World, goal: int, cap: int) -> None:
    with refused("CampaignFactory_BadGoal", goal, cap):
        world.open(goal=goal, cap=cap)
    world.open(goal=1, cap=1)


@pytest.mark.parametrize(("bps", "accepted"), [(3_299, False), (3_300, True), (8_000, True), (8_001, False)])
def test_the_stop_vote_needs_between_a_third_and_four_fifths(world: World, bps: int, accepted: bool) -> None:
    if accepted:
        world.open(stopBps=bps)
        return
    with refused("CampaignFactory_BadStopBps", bps, 3_300, 8_000):
        world.open(stopBps=bps)


@pytest.mark.parametrize(("seconds", "accepted"), [(0, False), (1, True), (730 * DAY, True), (730 * DAY + 1, False)])
def test_funding_ends_in_the_future_and_within_two_years(world: World, seconds: int, accepted: bool) -> None:
    moment = world.now() + 1
    deadline = moment + seconds
    terms = world.terms(fundingDeadline=deadline, milestones=_milestones(deadline, (WEIGHTS, 10_000)))
    call = world.factory.functions.createCampaign(terms, BAD_SALT)
    if accepted:
        world.send(call, world.researcher, at=moment)
        return
    with refused("CampaignFactory_BadFundingDeadline", deadline, moment + 1, moment + 730 * DAY):
        world.send(call, world.researcher, at=moment)


@pytest.mark.parametrize(
    ("field", "error", "low", "high"),
    [
        ("challengeWindow", "CampaignFactory_BadChallengeWindow", 2 * DAY, 90 * DAY),
        ("answerWindow", "CampaignFactory_BadAnswerWindow", DAY, 30 * DAY),
    ],
)
def test_windows_lie_within_fixed_bounds(world: World, field: str, error: str, low: int, high: int) -> None:
    far = _milestones(world.now() + 365 * DAY, (WEIGHTS, 10_000))
    for value in (low - 1, high + 1):
        with refused(error, value, low, high):
            world.open(milestones=far, **{field: value})
    for value in (low, high):
        world.open(milestones=far, **{field: value})


def test_the_least_bond_costs_something(world: World) -> None:
    for bond in (0, 10**12 - 1):
        with refused("CampaignFactory_BondTooSmall", bond, 10**12):
            world.open(minBond=bond)
    world.open(minBond=10**12)
    world.open(minBond=2**96 - 1)


def test_an_arbiter_has_a_week_to_ninety_days_to_rule_and_nobody_has_none(world: World) -> None:
    for window in (0, 7 * DAY - 1, 90 * DAY + 1, 2**32 - 1):
        with refused("CampaignFactory_BadRulingWindow", window, 7 * DAY, 90 * DAY):
            world.open(arbiter=world.arbiter, rulingWindow=window)
    for window in (7 * DAY, 90 * DAY):
        world.open(arbiter=world.arbiter, rulingWindow=window)
    for window in (1, 30 * DAY):
        with refused("CampaignFactory_BadRulingWindow", window, 0, 0):
            world.open(rulingWindow=window)


def test_slack_is_at_most_a_year(world: World) -> None:
    world.open(slack=365 * DAY)
    world.open(slack=0)
    with refused("CampaignFactory_SlackTooLong", 365 * DAY + 1, 365 * DAY):
        world.open(slack=365 * DAY + 1)


def test_attestors_are_between_one_and_sixteen(world: World) -> None:
    many = [Account.from_key(f"0x{n:064x}").address for n in range(1, 18)]
    with refused("CampaignFactory_NoAttestor"):
        world.open(attestors=[], quorum=0)
    with refused("CampaignFactory_TooManyAttestors", 17, 16):
        world.open(attestors=many)
    world.open(attestors=many[:16], quorum=16)


def test_attestors_are_somebody_and_distinct(world: World) -> None:
    first, second, _ = (attestor.address for attestor in world.attestors)
    with refused("CampaignFactory_ZeroAttestor", 1):
        world.open(attestors=[first, ZERO])
    with refused("CampaignFactory_DuplicateAttestor", first):
        world.open(attestors=[first, second, first])


def test_the_quorum_lies_between_one_and_all(world: World) -> None:
    for quorum in (0, 4, 255):
        with refused("CampaignFactory_BadQuorum", quorum, 3):
            world.open(quorum=quorum)
    for quorum in (1, 3):
        world.open(quorum=quorum)


def test_payees_are_between_one_and_eight(world: World) -> None:
    with refused("CampaignFactory_NoPayee"):
        world.open(payees=[])
    with refused("CampaignFactory_TooManyPayees", 9, 8):
        world.open(payees=[(world.compute, 1_000)] * 9)
    world.open(payees=[(world.compute, 1_250)] * 8)


def test_payees_are_somebody_with_a_share(world: World) -> None:
    with refused("CampaignFactory_ZeroPayee", 1):
        world.open(payees=[(world.compute, 5_000), (ZERO, 5_000)])
    with refused("CampaignFactory_ZeroPayeeBps", 0):
        world.open(payees=[(world.compute, 0), (world.verifier, 10_000)])


@pytest.mark.parametrize("total", [9_999, 10_001])
def test_payee_shares_make_a_whole(world: World, total: int) -> None:
    with refused("CampaignFactory_PayeeBpsNotWhole", total):
        world.open(payees=[(world.compute, 5_000), (world.verifier, total - 5_000)])


def test_milestones_are_between_one_and_sixteen(world: World) -> None:
    deadline = world.terms()["fundingDeadline"]
    steps = [(CHECKPOINT, 400)] * 16 + [(WEIGHTS, 3_600)]
    with refused("CampaignFactory_NoMilestone"):
        world.open(milestones=[])
    with refused("CampaignFactory_TooManyMilestones", 17, 16):
        world.open(milestones=_milestones(deadline, *steps))
    world.open(milestones=_milestones(deadline, *([(CHECKPOINT, 400)] * 15 + [(WEIGHTS, 4_000)])))
    world.open(milestones=_milestones(deadline, (WEIGHTS, 10_000)))


def test_every_milestone_pays_something(world: World) -> None:
    deadline = world.terms()["fundingDeadline"]
    with refused("CampaignFactory_ZeroMilestoneBps", 0):
        world.open(milestones=_milestones(deadline, (DATASET, 0), (WEIGHTS, 10_000)))


@pytest.mark.parametrize("total", [9_999, 10_001])
def test_milestone_shares_make_a_whole(world: World, total: int) -> None:
    deadline = world.terms()["fundingDeadline"]
    with refused("CampaignFactory_MilestoneBpsNotWhole", total):
        world.open(milestones=_milestones(deadline, (DATASET, 5_000), (WEIGHTS, total - 5_000)))


@pytest.mark.parametrize(
    ("kinds", "index"),
    [
        ((CHECKPOINT, DATASET, WEIGHTS), 1),
        ((WEIGHTS, WEIGHTS), 0),
        ((DATASET, WEIGHTS, CHECKPOINT), 1),
    ],
)
def test_kinds_come_in_order(world: World, kinds: tuple[int, ...], index: int) -> None:
    deadline = world.terms()["fundingDeadline"]
    bps = [1_000] * (len(kinds) - 1) + [10_000 - 1_000 * (len(kinds) - 1)]
    with refused("CampaignFactory_KindOrder", index, kinds[index]):
        world.open(milestones=_milestones(deadline, *zip(kinds, bps, strict=True)))


@pytest.mark.parametrize("kind", [DATASET, CHECKPOINT])
def test_the_last_milestone_is_the_open_weights(world: World, kind: int) -> None:
    deadline = world.terms()["fundingDeadline"]
    with refused("CampaignFactory_LastNotWeights", kind):
        world.open(milestones=_milestones(deadline, (DATASET, 5_000), (kind, 5_000)))


def test_a_quarter_of_the_pool_hangs_on_the_weights(world: World) -> None:
    deadline = world.terms()["fundingDeadline"]
    with refused("CampaignFactory_WeightsBpsTooSmall", 2_499, 2_500):
        world.open(milestones=_milestones(deadline, (CHECKPOINT, 7_501), (WEIGHTS, 2_499)))
    world.open(milestones=_milestones(deadline, (CHECKPOINT, 7_500), (WEIGHTS, 2_500)))


def test_deadlines_leave_room_for_the_windows(world: World) -> None:
    deadline, gap = world.now() + 30 * DAY, 5 * DAY
    first, second = deadline + gap, deadline + 2 * gap

    def opened(*deadlines: int) -> Campaign:
        (one, two) = deadlines
        milestones = [(DATASET, 5_000, one, 0), (WEIGHTS, 5_000, two, 0)]
        return world.open(fundingDeadline=deadline, milestones=milestones)

    with refused("CampaignFactory_DeadlineTooEarly", 0, first - 1, first):
        opened(first - 1, second)
    with refused("CampaignFactory_DeadlineTooEarly", 1, second - 1, second):
        opened(first, second - 1)
    opened(first, second)


def test_the_last_deadline_is_within_ten_years(world: World) -> None:
    moment = world.now() + 1
    latest = moment + 3_650 * DAY
    for deadline, accepted in ((latest + 1, False), (latest, True)):
        terms = world.terms(milestones=[(WEIGHTS, 10_000, deadline, 0)])
        call = world.factory.functions.createCampaign(terms, BAD_SALT)
        if accepted:
            world.send(call, world.researcher, at=moment + 1)
        else:
            with refused("CampaignFactory_DeadlineTooLate", deadline, latest):
                world.send(call, world.researcher, at=moment)


def test_the_factory_names_its_implementation(world: World) -> None:
    assert world.factory.functions.implementation().call() == world.implementation.address


def test_the_factory_knows_its_campaigns_by_their_salt(world: World, campaign: Campaign) -> None:
    known = world.factory.functions.isCampaign
    assert known(campaign.address, campaign.salt).call()
    assert not known(campaign.address, BAD_SALT).call()
    for other in (ZERO, world.stranger, world.factory.address, world.implementation.address):
        assert not known(other, campaign.salt).call()


def test_threat_a_look_alike_campaign_is_told_apart(world: World, campaign: Campaign) -> None:
    code = bytes(world.w3.eth.get_code(campaign.address))
    maker = world.deploy("LookAlikeFactory")
    # The very same code, and with its goal cut to nothing; short and long code must not make the check fail either.
    forgeries = [
        code,
        code[:45],
        code[:44],
        code[:45] + code[45:85] + bytes(16) + code[101:],
        code + bytes(2_000),
        b"\0",
    ]
    for forgery in forgeries:
        receipt = world.send(maker.functions.make(forgery), world.stranger)
        (event,) = maker.events.Made().process_receipt(receipt)
        address = event["args"]["clone"]
        assert bytes(world.w3.eth.get_code(address)) == forgery
        assert not world.factory.functions.isCampaign(address, campaign.salt).call()


def test_threat_a_clone_cannot_be_initialised_by_somebody_else(world: World, campaign: Campaign) -> None:
    names = {item["name"] for item in campaign.contract.abi if item["type"] == "function"}

    assert not [name for name in names if "init" in name.lower() or "owner" in name.lower() or "admin" in name.lower()]
    assert tuple(campaign.read("terms")) == tuple(campaign.terms.values())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("terms", ()),
        ("status", ()),
        ("latestEvidence", ()),
        ("deadlineOf", (0,)),
        ("released", ()),
        ("refundable", (ZERO,)),
        ("claimable", (0,)),
        ("activate", ()),
        ("voteStop", (True,)),
        ("postUpdate", (b"\1" * 32,)),
        ("extendDeadlines", (1,)),
        ("claim", (0, "0x" + "01" * 20)),
        ("collectRefund", ("0x" + "01" * 20,)),
        ("refundTo", ("0x" + "01" * 20,)),
        ("unpledge", (1, "0x" + "01" * 20)),
        ("challenge", (bytes(32), 1, 0)),
        ("answer", (bytes(32), 1, 0, b"x", [])),
        ("returnBond", (0, "0x" + "01" * 20)),
        ("requiredBond", ()),
        ("pledgeToken", ("0x" + "01" * 20, 1)),
        ("pledgeTokenWithPermit", ("0x" + "01" * 20, 1, 1, 27, bytes(32), bytes(32))),
        ("attest", ((0, 0, bytes(32), bytes(32), bytes(32), 0, 0, 0), 0, [])),
    ],
)
def test_the_implementation_itself_is_inert(world: World, name: str, arguments: tuple[Any, ...]) -> None:
    with refused("Campaign_NotAClone"):
        world.call(world.implementation.functions[name](*arguments))


def test_the_implementation_itself_takes_no_money(world: World) -> None:
    with refused("Campaign_NotAClone"):
        world.send(world.implementation.functions.pledgeCoin(world.backer0), world.backer0, value=ETHER)
