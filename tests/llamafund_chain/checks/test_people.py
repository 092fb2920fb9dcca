"""Accounts that pass for different people, and what their code tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llamafund_chain.campaign.terms import Payee
from llamafund_chain.checks.people import People, look_at_people
from llamafund_chain.checks.rules import Judged, judge

OWNER = "0x00000000000000000000000000000000000A11cE"


@pytest.fixture
def looked(stage, nasty_code):
    """Deploys contracts, and looks at the people of terms that name them."""

    def deploy(name: str, *words: str | int) -> str:
        numbers = (word if isinstance(word, int) else int(word, 16) for word in words)
        return stage.devnet.deploy(nasty_code[name] + b"".join(number.to_bytes(32, "big") for number in numbers))

    def run(**changes) -> tuple[People, dict[str, Judged]]:
        terms = replace(stage.client.terms, **changes)
        people = look_at_people(stage.devnet.connection, terms, "latest")
        facts = {"quorum": terms.quorum, "attestors": len(terms.attestors), **people.facts(terms)}
        rules = ("insiders-fill-quorum", "one-owner", "attestor-wallets")
        return people, {one.rule.id: one for one in judge(facts, rules)}

    stage.open()
    run.deploy = deploy
    run.attestors = stage.client.terms.attestors
    return run


def test_plain_keys_have_nothing_in_common(looked) -> None:
    people, found = looked()
    assert {one.outcome for one in found.values()} == {"holds"}
    assert all(len(group) == 1 for group in people.together)


def test_threat_attestors_that_are_wallets_of_one_owner_are_told(looked) -> None:
    first, second = looked.deploy("Owned", OWNER), looked.deploy("Owned", OWNER)
    _, found = looked(attestors=(first, second, looked.attestors[0]))
    assert (found["one-owner"].outcome, found["one-owner"].severity) == ("fails", "critical")
    assert "2 of the attestors belong together" in found["one-owner"].detail
    assert f"a contract of {OWNER}" in found["attestor-wallets"].detail


def test_threat_an_attestor_that_is_the_researchers_wallet_counts_as_the_researcher(looked, stage) -> None:
    wallet = looked.deploy("Owned", stage.researcher.address)
    _, found = looked(attestors=(wallet, stage.compute.address), payees=(Payee(stage.compute.address, 10_000),))
    assert found["insiders-fill-quorum"].outcome == "fails"
    assert "2 of the attestors are the researcher, payees or their wallets" in found["insiders-fill-quorum"].detail


def test_threat_an_attestor_that_is_another_attestors_wallet_is_told(looked) -> None:
    key = looked.attestors[0]
    _, found = looked(attestors=(key, looked.deploy("Owned", key)))
    assert found["one-owner"].severity == "critical"


def test_one_owner_of_several_is_no_single_person(looked) -> None:
    """Two of two sign for each wallet, and they share one of them: neither acts alone for both."""
    first = looked.deploy("Several", 2, OWNER, "0x0b")
    second = looked.deploy("Several", 2, OWNER, "0x0c")
    _, found = looked(attestors=(first, second))
    assert (found["one-owner"].severity, found["one-owner"].cases) == ("high", (1,))
    assert f"have the owner {OWNER} in common" in found["one-owner"].detail


@pytest.mark.parametrize(("threshold", "together"), [(1, True), (2, True)])
def test_wallets_of_the_same_people_belong_together(looked, threshold: int, together: bool) -> None:
    first, second = (looked.deploy("Several", threshold, OWNER, "0x0b") for _ in range(2))
    people, found = looked(attestors=(first, second))
    assert ({first, second} in people.together) is together
    assert found["one-owner"].severity == "critical"


def test_a_key_with_delegated_code_is_a_key(looked, stage) -> None:
    key = looked.attestors[0]
    stage.devnet.connection.request("anvil_setCode", key, f"0xef0100{'ab' * 20}")
    people, found = looked()
    assert people.wallets[key].owners == {key}
    assert "EIP-7702" in found["attestor-wallets"].detail
    stage.devnet.connection.request("anvil_setCode", key, "0x")


def test_a_contract_that_claims_what_cannot_be_read_is_one_that_does_not_say(looked) -> None:
    crowd = looked.deploy("Crowd")
    people, found = looked(attestors=(crowd, looked.attestors[0]))
    assert people.wallets[crowd].owners == {crowd}
    assert "a contract that does not say who decides" in found["attestor-wallets"].detail


def test_each_account_is_listed_once_with_all_its_roles(looked, stage) -> None:
    people, _ = looked(arbiter=stage.compute.address, ruling_window=8 * 86_400)
    assert people.roles[stage.researcher.address] == "researcher, payee 0"
    assert people.roles[stage.compute.address] == "payee 1, arbiter"
    listed = people.to_json()
    assert len(listed) == len(people.wallets) == 5
