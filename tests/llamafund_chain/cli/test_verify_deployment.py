"""`llamafund verify-deployment` against a real chain, honest and tampered with."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from llamafund_chain.audit.bytecode import check_sources, compare, read_compilation, read_immutables
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.factory import create_campaign
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain.connection import Connection, connect
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.deployment import addresses, artifacts
from llamafund_chain.deployment.court_arbiter import CourtArbiter
from llamafund_chain.errors import VerificationError

NOBODY = "0x00000000000000000000000000000000000000bb"
ELSEWHERE = "0x00000000000000000000000000000000000000eE"
CLONE_BYTES = 45
DAY = 86_400
ADDRESSES = addresses.predicted()


def verify(llamafund, devnet: Devnet, address: str, *more: object):
    return llamafund("verify-deployment", address, *more, "--rpc", devnet.rpc_url, "--json")


def failed(ran) -> dict[str, dict[str, object]]:
    """The checks that failed, by name; the command must have said so and ended with 3."""
    assert ran.code == 3, ran.stderr or ran.stdout
    ran.refused(3, "is not what it should be")
    assert ran.json["verified"] is False
    return {check["name"]: check for check in ran.json["checks"] if check["status"] == "fail"}


def code_at(devnet: Devnet, address: str) -> bytes:
    return devnet.connection.code(address)


def set_code(devnet: Devnet, address: str, code: bytes) -> None:
    devnet.connection.request("anvil_setCode", address, f"0x{code.hex()}")


def flipped(code: bytes, offset: int) -> bytes:
    changed = bytearray(code)
    changed[offset] ^= 1
    return bytes(changed)


@pytest.fixture
def bare() -> object:
    """A chain without the contracts."""
    with Devnet(deploy=False) as chain:
        yield chain


# ------------------------------------------------------------------------------------------------ the honest chain


@pytest.mark.parametrize(
    ("address", "contract", "immutables"),
    [
        (
            ADDRESSES.factory,
            "CampaignFactory",
            {"implementation": ADDRESSES.implementation, "SELF": ADDRESSES.implementation},
        ),
        (ADDRESSES.implementation, "Campaign", {"SELF": ADDRESSES.implementation}),
    ],
)
def test_the_two_contracts_are_verified_byte_for_byte(
    llamafund, devnet: Devnet, address: str, contract: str, immutables: dict[str, str]
) -> None:
    ran = verify(llamafund, devnet, address)

    assert ran.code == 0, ran.stderr
    found, artifact = ran.json, artifacts.load(contract)
    assert (found["contract"], found["verified"]) == (contract, True)
    assert found["immutables"] == immutables
    assert found["code"]["bytes"] == len(artifact.deployed_bytecode)
    assert found["compiler"] == artifact.compiler
    assert (found["terms"], found["salt"]) == (None, None)
    assert {check["status"] for check in found["checks"]} <= {"pass", "warn"}


def test_a_campaign_is_verified_and_its_terms_are_read_from_its_code(llamafund, stage) -> None:
    client = stage.open()
    ran = verify(llamafund, stage.devnet, client.address)

    assert ran.code == 0, ran.stderr
    found = ran.json
    assert (found["contract"], found["verified"]) == ("campaign", True)
    assert found["salt"] == client.verify_code().salt
    assert found["terms"]["proposal"] == client.terms.proposal
    assert found["terms"]["goal"] == "10"
    assert found["terms"]["attestors"] == list(client.terms.attestors)
    assert found["immutables"] == {"SELF": ADDRESSES.implementation, "implementation": ADDRESSES.implementation}
    assert {check["name"] for check in found["checks"]} >= {
        "campaign-code", "campaign-address", "terms", "factory-code", "implementation-code", "sources",
    }  # fmt: skip


def test_a_person_reads_what_it_is_and_what_was_checked(llamafund, stage) -> None:
    client = stage.open()
    ran = llamafund("verify-deployment", client.address, "--rpc", stage.devnet.rpc_url)

    assert ran.code == 0, ran.stderr
    assert re.search(r"^this is +a campaign$", ran.stdout, re.MULTILINE)
    assert "0.8.37+commit" in ran.stdout
    assert client.terms.proposal in ran.stdout
    assert "ok    campaign-address: it follows from the factory" in ran.stdout
    assert "FAIL" not in ran.stdout


def test_a_salt_that_is_given_spares_the_events_and_a_wrong_one_is_told(llamafund, stage) -> None:
    client = stage.open()
    salt = client.verify_code().salt

    assert verify(llamafund, stage.devnet, client.address, "--salt", salt).code == 0
    wrong = failed(verify(llamafund, stage.devnet, client.address, "--salt", "77" * 32))

    assert wrong.keys() == {"campaign-address"}
    other = CampaignClient(stage.devnet.connection, client.address, "77" * 32)
    with pytest.raises(VerificationError):
        other.verify_code()


def test_no_record_of_a_deployment_is_needed_nor_believed(llamafund, stage, monkeypatch: pytest.MonkeyPatch) -> None:
    client = stage.open()
    true = stage.devnet.deployment

    def status(record: object) -> tuple[int, str]:
        def known(chain_id: int) -> object:
            if isinstance(record, Exception):
                raise record
            return record

        monkeypatch.setattr(addresses, "known", known)
        ran = verify(llamafund, stage.devnet, client.address)
        (check,) = (check for check in ran.json["checks"] if check["name"] == "record")
        return ran.code, check["status"]

    assert status(None) == (0, "warn")
    assert status(true) == (0, "pass")
    assert status(VerificationError("It records other contracts")) == (0, "warn")
    # A record that names a block after the campaign's only costs a second search.
    late = type(true)(**{**vars(true), "block": stage.devnet.connection.block().number})
    assert status(late) == (0, "pass")


# ---------------------------------------------------------------------------------------------------- the tampered one


@pytest.mark.parametrize("part", ["factory", "implementation"])
@pytest.mark.parametrize("offset", [0, 5_000, -1])
def test_threat_one_changed_byte_is_named_by_its_offset(llamafund, devnet: Devnet, part: str, offset: int) -> None:
    address = getattr(ADDRESSES, part)
    code = code_at(devnet, address)
    set_code(devnet, address, flipped(code, offset))

    wrong = failed(verify(llamafund, devnet, address))

    assert wrong.keys() == {f"{part}-code"}
    assert wrong[f"{part}-code"]["data"] == {"offset": offset % len(code)}
    assert f"at byte {offset % len(code)} " in str(wrong[f"{part}-code"]["detail"])


def test_threat_a_factory_for_another_implementation_is_noticed_though_its_code_is_right(
    llamafund, devnet: Devnet
) -> None:
    word = bytes.fromhex(ELSEWHERE[2:]).rjust(32, b"\0")
    artifact = artifacts.load("CampaignFactory")
    set_code(devnet, ADDRESSES.factory, artifact.runtime({"implementation": word}))
    ran = verify(llamafund, devnet, ADDRESSES.factory)

    assert failed(ran).keys() == {"factory-immutables"}
    assert ran.json["immutables"]["implementation"] == ELSEWHERE


def test_threat_one_place_of_an_immutable_that_disagrees_is_noticed(llamafund, devnet: Devnet) -> None:
    places = artifacts.load("CampaignFactory").immutable_references["implementation"]
    last = places[-1][0] + 31
    set_code(devnet, ADDRESSES.factory, flipped(code_at(devnet, ADDRESSES.factory), last))

    wrong = failed(verify(llamafund, devnet, ADDRESSES.factory))

    assert wrong.keys() == {"factory-immutables"}
    assert f"at byte {places[-1][0]}" in str(wrong["factory-immutables"]["detail"])


def test_threat_an_immutable_with_bits_above_its_address_is_no_address(llamafund, devnet: Devnet) -> None:
    word = b"\x01" + bytes(11) + bytes.fromhex(ADDRESSES.implementation[2:])
    set_code(devnet, ADDRESSES.factory, artifacts.load("CampaignFactory").runtime({"implementation": word}))

    wrong = failed(verify(llamafund, devnet, ADDRESSES.factory))

    assert wrong.keys() == {"factory-immutables"}
    assert "is not an address" in str(wrong["factory-immutables"]["detail"])


@pytest.mark.parametrize("part", ["factory", "implementation"])
def test_threat_the_same_code_at_another_address_is_not_the_one_contract(llamafund, devnet: Devnet, part: str) -> None:
    set_code(devnet, ELSEWHERE, code_at(devnet, getattr(ADDRESSES, part)))
    wrong = failed(verify(llamafund, devnet, ELSEWHERE))
    expected = {f"{part}-address"} | ({"implementation-immutables"} if part == "implementation" else set())
    assert wrong.keys() == expected
    assert getattr(ADDRESSES, part) in str(wrong[f"{part}-address"]["detail"])


def test_threat_a_campaign_of_a_tampered_implementation_is_noticed(llamafund, stage) -> None:
    client = stage.open()
    code = code_at(stage.devnet, ADDRESSES.implementation)
    set_code(stage.devnet, ADDRESSES.implementation, flipped(code, 100))
    assert failed(verify(llamafund, stage.devnet, client.address)).keys() == {"implementation-code"}


def test_threat_a_look_alike_clone_of_another_implementation_is_noticed(llamafund, stage) -> None:
    client = stage.open()
    code = code_at(stage.devnet, client.address)
    set_code(stage.devnet, ELSEWHERE, code_at(stage.devnet, ADDRESSES.implementation))
    set_code(stage.devnet, NOBODY, code[:10] + bytes.fromhex(ELSEWHERE[2:]) + code[30:])

    ran = verify(llamafund, stage.devnet, NOBODY)

    wrong = failed(ran)
    assert wrong.keys() == {"campaign-code"}
    assert f"but to {ELSEWHERE}" in str(wrong["campaign-code"]["detail"])
    assert wrong["campaign-code"]["data"] == {"offset": 10}


def test_threat_a_campaign_s_code_at_another_address_was_never_opened_by_the_factory(llamafund, stage) -> None:
    client = stage.open()
    set_code(stage.devnet, NOBODY, code_at(stage.devnet, client.address))

    assert failed(verify(llamafund, stage.devnet, NOBODY)).keys() == {"campaign-address"}
    salt = client.verify_code().salt
    given = failed(verify(llamafund, stage.devnet, NOBODY, "--salt", salt))
    assert client.address in str(given["campaign-address"]["detail"])


@pytest.mark.parametrize("place", ["goal", "head", "tail", "cut", "longer"])
def test_threat_changed_terms_or_clone_code_are_named_by_their_offset(llamafund, stage, place: str) -> None:
    client = stage.open()
    code = code_at(stage.devnet, client.address)
    offset = {"goal": CLONE_BYTES + 55, "head": 3, "tail": 31, "cut": len(code) - 1, "longer": len(code)}[place]
    changed = {"cut": code[:-1], "longer": code + b"\0"}.get(place) or flipped(code, offset)
    set_code(stage.devnet, client.address, changed)

    ran = verify(llamafund, stage.devnet, client.address)

    wrong = failed(ran)
    assert ran.json["contract"] == "campaign"
    name = "campaign-code" if place in ("head", "tail") else "campaign-address"
    assert wrong[name]["data"] == {"offset": offset}
    assert ("terms" in wrong) == (place in ("cut", "longer"))


def test_terms_in_a_token_that_does_not_answer_are_shown_all_the_same(llamafund, stage) -> None:
    client = stage.open()
    code = bytearray(code_at(stage.devnet, client.address))
    code[CLONE_BYTES + 20 : CLONE_BYTES + 40] = bytes.fromhex(ELSEWHERE[2:])
    set_code(stage.devnet, NOBODY, bytes(code))
    ran = verify(llamafund, stage.devnet, NOBODY)
    assert failed(ran).keys() == {"campaign-address"}
    assert ran.json["terms"]["goal"] == str(10**19)
    assert ran.json["terms"]["asset"]["address"] == ELSEWHERE


# ------------------------------------------------------------------------------------------------------ anything else


def test_an_account_with_a_key_is_no_contract(llamafund, devnet: Devnet) -> None:
    ran = verify(llamafund, devnet, NOBODY)
    assert "no code" in str(failed(ran)["code"]["detail"])
    assert ran.json["contract"] is None

    set_code(devnet, NOBODY, bytes.fromhex("ef0100" + ADDRESSES.implementation[2:]))
    assert "EIP-7702" in str(failed(verify(llamafund, devnet, NOBODY))["code"]["detail"])


def test_a_foreign_contract_is_told_from_each_at_their_bytes(llamafund, devnet: Devnet) -> None:
    token = devnet.deploy_token()
    ran = verify(llamafund, devnet, token)

    check = failed(ran)["code"]
    assert ran.json["contract"] is None
    code = code_at(devnet, token)
    for name, offset in check["data"]["offsets"].items():  # type: ignore[attr-defined]
        expected = artifacts.load(name).deployed_bytecode
        assert code[:offset] == expected[:offset]
        assert code[offset] != expected[offset]


def test_an_arbiter_is_verified_and_what_it_asks_is_judged(llamafund, devnet: Devnet) -> None:
    court = devnet.deploy_mock_court(1)
    arbiter = devnet.deploy_arbiter(CourtArbiter(court, meta_evidence="/ipfs/swapped", appeal_reserve=DAY))
    ran = verify(llamafund, devnet, arbiter)
    assert ran.code == 0, ran.stderr
    found = ran.json
    assert (found["contract"], found["verified"]) == ("CourtArbiter", True)
    assert found["immutables"] == {"court": court, "factory": ADDRESSES.factory, "appealReserve": str(DAY)}
    checks = {check["name"]: check for check in found["checks"]}
    assert [checks[f"arbiter-{part}"]["status"] for part in ("code", "immutables", "address")] == ["pass"] * 3
    assert checks["sources"]["status"] == "pass"
    assert "a mock court" in checks["arbiter-can-decide"]["detail"]
    assert "not ask the question that this package ships" in checks["court-is-asked-the-question"]["detail"]
    shown = llamafund("verify-deployment", arbiter, "--rpc", devnet.rpc_url).stdout
    assert "an arbiter that asks a court" in shown


def test_threat_an_arbiter_that_is_tampered_with_is_noticed(llamafund, devnet: Devnet) -> None:
    arbiter = devnet.deploy_arbiter(CourtArbiter(devnet.deploy_mock_court(1)))
    code = code_at(devnet, arbiter)
    set_code(devnet, ELSEWHERE, code)
    assert failed(verify(llamafund, devnet, ELSEWHERE)).keys() == {"arbiter-address"}
    references = artifacts.load("CourtArbiter").immutable_references
    for name in ("court", "factory", "appealReserve"):
        (start, length), *_ = references[name]
        set_code(devnet, arbiter, flipped(code, start + length - 1))
        wrong = failed(verify(llamafund, devnet, arbiter))
        assert wrong.keys() & {"arbiter-immutables", "arbiter-address"}, name
    offset = len(code) - 1
    set_code(devnet, arbiter, flipped(code, offset))
    assert failed(verify(llamafund, devnet, arbiter))["arbiter-code"]["data"] == {"offset": offset}


@pytest.mark.parametrize("address", [ADDRESSES.factory, ADDRESSES.implementation])
def test_a_chain_without_the_contracts_says_so(llamafund, bare: Devnet, address: str) -> None:
    assert "not deployed on this chain" in str(failed(verify(llamafund, bare, address))["code"]["detail"])


def test_a_campaign_s_code_on_a_chain_without_the_contracts_is_not_verified(llamafund, bare: Devnet, stage) -> None:
    client = stage.open()
    set_code(bare, client.address, code_at(stage.devnet, client.address))
    wrong = failed(verify(llamafund, bare, client.address))
    assert wrong.keys() == {"implementation-code", "factory-code", "campaign-address"}


@pytest.mark.parametrize("beginning", ["nothing", "factory", "clone"])
def test_threat_absurdly_large_code_ends_in_an_answer(llamafund, stage, beginning: str) -> None:
    head = {
        "nothing": b"",
        "factory": code_at(stage.devnet, ADDRESSES.factory),
        "clone": code_at(stage.devnet, stage.open().address),
    }[beginning]
    address = ADDRESSES.factory if beginning == "factory" else NOBODY
    set_code(stage.devnet, address, head + b"\x5b" * (1 << 19))

    ran = verify(llamafund, stage.devnet, address)

    wrong = failed(ran)
    assert len(ran.stdout) < 10_000
    if beginning == "factory":
        assert wrong["factory-code"]["data"] == {"offset": len(head)}
    elif beginning == "nothing":
        assert "EIP-170" in str(wrong["code"]["detail"])
    else:
        assert {"terms", "campaign-address"} <= wrong.keys()


def test_a_node_that_is_not_there_says_nothing_about_a_contract(llamafund, no_node: str) -> None:
    llamafund("verify-deployment", NOBODY, "--rpc", no_node).refused(4)
    llamafund("verify-deployment", NOBODY, "--salt", "short", "--rpc", no_node).refused(2)


# ---------------------------------------------------------------------------------------------------------- the library


@pytest.mark.parametrize("name", ["Campaign", "CampaignFactory"])
def test_immutables_are_masked_and_nothing_else_is(name: str) -> None:
    artifact = artifacts.load(name)
    word = bytes.fromhex(NOBODY[2:]).rjust(32, b"\0")
    (immutable,) = artifact.immutable_references
    code = artifact.runtime({immutable: word})
    masked = {
        place for start, length in artifact.immutable_references[immutable] for place in range(start, start + length)
    }
    edges = {start + shift for start, length in artifact.immutable_references[immutable] for shift in (-1, 0, length)}

    assert compare(artifact, code) is None
    assert int(read_immutables(artifact, code)[immutable], 16) == int(NOBODY, 16)
    for offset in {0, len(code) - 1, *edges}:
        found = compare(artifact, flipped(code, offset))
        assert (found is None) == (offset in masked)
        assert found is None or found.offset == offset
    for cut in (0, 1, min(masked) + 5, len(code) - 1):
        found = compare(artifact, code[:cut])
        assert found is not None
        assert (found.offset, found.actual) == (cut, b"")


@pytest.mark.parametrize("name", ["Campaign", "CampaignFactory"])
def test_the_code_leads_to_the_metadata_and_the_metadata_to_the_sources(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = artifacts.load(name)
    made = read_compilation(artifact.deployed_bytecode)
    assert made is not None
    assert artifact.compiler.startswith(made.compiler + "+commit.")
    assert check_sources(artifact).status == "pass"

    request = json.loads(json.dumps(artifacts.standard_json_input()))
    request["sources"][artifact.source_name]["content"] += " "
    monkeypatch.setattr(artifacts, "standard_json_input", lambda: request)
    changed = check_sources(artifact)
    assert changed.status == "fail"
    assert changed.data == {"wrong": [artifact.source_name]}


def test_metadata_that_the_code_does_not_name_is_noticed() -> None:
    artifact = artifacts.load("Campaign")
    assert check_sources(dataclasses.replace(artifact, metadata=artifact.metadata + " ")).status == "fail"
    bare = dataclasses.replace(artifact, deployed_bytecode=artifact.deployed_bytecode[:-1])
    assert read_compilation(bare.deployed_bytecode) is None
    assert check_sources(bare).status == "fail"


def test_a_second_campaign_with_the_same_terms_has_its_own_salt(llamafund, stage) -> None:
    first = stage.open()
    terms: Terms = first.terms
    connection: Connection = connect(stage.devnet.rpc_url)
    second, _ = create_campaign(connection, stage.researcher, terms, "05" * 32)

    salts = {verify(llamafund, stage.devnet, address).json["salt"] for address in (first.address, second)}

    assert salts == {first.verify_code().salt, "05" * 32}
