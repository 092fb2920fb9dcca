"""Terms: both encodings against the contracts, and every refusal of the factory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.factory import predict_address
from llamafund_chain.campaign.terms import DAY, NO_HASH, NO_MINIMUM, Milestone, MilestoneKind, Payee, Terms, TermsError
from llamafund_chain.chain import abi
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import UsageError, VerificationError

NOW = 1_800_000_000
A, B, C = (f"0x{number:040x}" for number in (0xA1, 0xB2, 0xC3))


def terms(**changes: object) -> Terms:
    values: dict[str, object] = {
        "researcher": A,
        "asset": NATIVE,
        "goal": 10,
        "cap": 20,
        "funding_deadline": NOW + 10 * DAY,
        "stop_bps": 5_000,
        "challenge_window": 2 * DAY,
        "answer_window": DAY,
        "min_bond": 10**12 + 5,
        "slack": 6,
        "proposal": "11" * 32,
        "dataset": NO_HASH,
        "attestors": (B, C),
        "quorum": 2,
        "payees": (Payee(A, 7_000), Payee(B, 3_000)),
        "milestones": (
            Milestone(MilestoneKind.DATASET, 2_000, NOW + 20 * DAY, NO_MINIMUM),
            Milestone(MilestoneKind.WEIGHTS, 8_000, NOW + 30 * DAY, -3_000_000),
        ),
    }
    return Terms(**{**values, **changes})


def milestones(*kinds: MilestoneKind, bps: tuple[int, ...] | None = None) -> tuple[Milestone, ...]:
    parts = bps or tuple(10_000 // len(kinds) for _ in kinds)
    return tuple(
        Milestone(kind, part, NOW + (20 + 10 * index) * DAY, NO_MINIMUM)
        for index, (kind, part) in enumerate(zip(kinds, parts, strict=True))
    )


def test_an_account_is_named_by_each_of_its_roles() -> None:
    found = terms(arbiter=C)
    assert found.roles_of(A) == ["researcher", "payee 0"]
    assert found.roles_of(B) == ["attestor 0", "payee 1"]
    assert found.roles_of(C) == ["attestor 1", "arbiter"]
    assert found.roles_of(NATIVE) == []


D, K, W = MilestoneKind
GOOD = terms()
BROKEN = {
    "CampaignFactory_ZeroProposal": {"proposal": NO_HASH},
    "CampaignFactory_NoAttestor": {"attestors": (), "quorum": 1},
    "CampaignFactory_TooManyAttestors": {"attestors": tuple(f"0x{n:040x}" for n in range(1, 18))},
    "CampaignFactory_ZeroAttestor": {"attestors": (B, NATIVE)},
    "CampaignFactory_DuplicateAttestor": {"attestors": (B, B)},
    "CampaignFactory_BadQuorum": {"quorum": 3},
    "CampaignFactory_NoPayee": {"payees": ()},
    "CampaignFactory_TooManyPayees": {"payees": tuple(Payee(A, 1_000) for _ in range(9))},
    "CampaignFactory_ZeroPayee": {"payees": (Payee(NATIVE, 10_000),)},
    "CampaignFactory_ZeroPayeeBps": {"payees": (Payee(A, 10_000), Payee(B, 0))},
    "CampaignFactory_PayeeBpsNotWhole": {"payees": (Payee(A, 9_999),)},
    "CampaignFactory_NoMilestone": {"milestones": ()},
    "CampaignFactory_TooManyMilestones": {"milestones": milestones(*[D] * 16, W)},
    "CampaignFactory_ZeroMilestoneBps": {"milestones": milestones(D, W, bps=(0, 10_000))},
    "CampaignFactory_MilestoneBpsNotWhole": {"milestones": milestones(D, W, bps=(1, 9_998))},
    "CampaignFactory_KindOrder": {"milestones": milestones(K, D, W, bps=(3_000, 3_000, 4_000))},
    "CampaignFactory_LastNotWeights": {"milestones": milestones(D, K)},
    "CampaignFactory_WeightsBpsTooSmall": {"milestones": milestones(D, W, bps=(7_501, 2_499))},
    "CampaignFactory_DeadlineTooEarly": {"funding_deadline": NOW + 17 * DAY + 1},
    "CampaignFactory_DeadlineTooLate": {
        "milestones": (Milestone(W, 10_000, NOW + 3650 * DAY + 1, 0),),
    },
    "CampaignFactory_BadFundingDeadline": {"funding_deadline": NOW},
    "CampaignFactory_BadGoal": {"goal": 21},
    "CampaignFactory_BadStopBps": {"stop_bps": 3_299},
    "CampaignFactory_BadChallengeWindow": {"challenge_window": 2 * DAY - 1},
    "CampaignFactory_BadAnswerWindow": {"answer_window": DAY - 1},
    "CampaignFactory_BondTooSmall": {"min_bond": 10**12 - 1},
    "CampaignFactory_BadRulingWindow": {"arbiter": B, "ruling_window": 7 * DAY - 1},
    "CampaignFactory_SlackTooLong": {"slack": 365 * DAY + 1},
}
ONLY_ON_CHAIN = {"CampaignFactory_NotResearcher", "CampaignFactory_AssetWithoutCode"}


def shifted(value: Terms, by: int) -> Terms:
    steps = tuple(replace(step, deadline=step.deadline + by) for step in value.milestones)
    return replace(value, funding_deadline=value.funding_deadline + by, milestones=steps)


def test_good_terms_are_accepted() -> None:
    GOOD.validate(NOW)


@pytest.mark.parametrize("error", BROKEN)
def test_what_the_factory_refuses_is_refused_before_anything_is_sent(error: str) -> None:
    with pytest.raises(UsageError):
        replace(GOOD, **BROKEN[error]).validate(NOW)


def test_the_same_mistakes_are_refused_by_the_factory_with_the_error_of_that_name(devnet) -> None:
    connection = devnet.connection
    factory = abi.contract("CampaignFactory")
    # Calls are answered as of the latest block, however far the clock has moved on since.
    offset = connection.timestamp() - NOW
    for error, change in BROKEN.items():
        broken = shifted(replace(GOOD, **change), offset)
        call = Call(devnet.deployment.factory, factory.encode("createCampaign", broken.to_abi(), bytes(32)))
        with pytest.raises(ContractRefusedError) as refusal:
            connection.call(call, sender=A)
        assert refusal.value.name == error


def test_every_refusal_of_the_factory_has_its_mirror() -> None:
    theirs = {name for name in abi.contract("CampaignFactory").errors if name.startswith("CampaignFactory_")}
    assert theirs == set(BROKEN) | ONLY_ON_CHAIN


def test_a_refusal_names_the_field_and_speaks_in_units_of_people() -> None:
    for changes, said in (
        ({"stop_bps": 3_299}, "stop_bps is 32.99 %. It must be between 33 % and 80 %."),
        ({"slack": 366 * DAY}, "slack is 366 days. It must be between 0 seconds and 365 days."),
        ({"payees": (Payee(A, 10_000), Payee(B, 0))}, "payees[1].bps is 0 %. A payee without a share is a mistake."),
        ({"attestors": (B, B)}, f"attestors[1] is {B} again. Each attestor counts once towards the quorum."),
        ({"goal": 21}, "goal is 21 coins, more than the cap of 20 coins. Pledges stop at the cap"),
        ({"min_bond": 2**96}, f"min_bond is {2**96} wei. It must be between {10**12} wei and {2**96 - 1} wei."),
        ({"arbiter": A, "ruling_window": 6 * DAY}, "ruling_window is 6 days. It must be between 7 days and 90 days."),
        ({"arbiter": NATIVE, "ruling_window": 7 * DAY}, "arbiter is the zero address. Nobody could rule."),
        ({"ruling_window": DAY}, "ruling_window is 1 day. There is no arbiter who could rule."),
    ):
        with pytest.raises(TermsError) as refusal:
            replace(GOOD, **changes).validate(
                NOW, money=lambda amount: f"{amount} coins", coin=lambda wei: f"{wei} wei"
            )
        assert str(refusal.value).startswith(said)


@pytest.mark.parametrize("field", ["goal", "cap", "min_bond", "slack", "quorum", "funding_deadline"])
def test_numbers_that_do_not_fit_are_named(field: str) -> None:
    with pytest.raises(UsageError, match=field):
        replace(GOOD, **{field: -1}).validate(NOW)
    with pytest.raises(UsageError, match=field):
        replace(GOOD, **{field: 2**130}).validate(NOW)


def test_a_campaign_carries_exactly_the_packed_terms(stage) -> None:
    client = stage.open()
    code = stage.devnet.connection.code(client.address)
    assert code[45:] == client.terms.pack()
    raw = stage.devnet.connection.call(Call(client.address, abi.contract("Campaign").encode("terms")))
    assert Terms.from_abi(abi.contract("Campaign").decode_output("terms", raw)[0]) == client.terms


def test_the_predicted_address_is_the_factorys(devnet) -> None:
    factory = devnet.deployment.factory
    interface = abi.contract("CampaignFactory")
    call = Call(factory, interface.encode("predictCampaign", GOOD.to_abi(), b"\x07" * 32))
    (theirs,) = interface.decode_output("predictCampaign", devnet.connection.call(call))
    ours = predict_address(factory, devnet.deployment.implementation, GOOD, "07" * 32)
    assert theirs.lower() == ours.lower()
    assert CampaignClient(devnet.connection, ours).address == ours


_address = st.integers(0, 2**160 - 1).map(lambda number: f"0x{number:040x}")
_hash = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")


def uint(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


@given(
    st.builds(
        Terms,
        researcher=_address,
        asset=_address,
        goal=uint(128),
        cap=uint(128),
        funding_deadline=uint(40),
        stop_bps=uint(16),
        challenge_window=uint(32),
        answer_window=uint(32),
        min_bond=uint(96),
        slack=uint(32),
        proposal=_hash,
        dataset=_hash,
        attestors=st.lists(_address, max_size=16).map(tuple),
        quorum=uint(8),
        payees=st.lists(st.builds(Payee, account=_address, bps=uint(16)), max_size=8).map(tuple),
        milestones=st.lists(
            st.builds(
                Milestone,
                kind=st.sampled_from(list(MilestoneKind)),
                bps=uint(12),
                deadline=uint(40),
                min_score=st.integers(-(2**63), 2**63 - 1),
            ),
            max_size=16,
        ).map(tuple),
        arbiter=st.none() | st.integers(1, 2**160 - 1).map(lambda number: f"0x{number:040x}"),
        ruling_window=uint(32),
    ).map(lambda value: value if value.arbiter else replace(value, ruling_window=0))
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_packing_and_the_abi_tuple_lose_nothing(value: Terms) -> None:
    unpacked = Terms.unpack(value.pack())
    assert unpacked.pack() == value.pack()
    assert Terms.from_abi(value.to_abi()) == unpacked


@given(st.binary(max_size=400))
def test_hostile_bytes_are_refused_or_are_terms(data: bytes) -> None:
    try:
        found = Terms.unpack(data)
    except VerificationError:
        return
    assert found.pack() == data
