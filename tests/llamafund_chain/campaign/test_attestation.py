"""Attestations: what is signed is what the contract checks, and files from anybody are read with care."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import manifest_examples as examples
import pytest
from small_campaign import state, terms

from llamafund_chain.campaign.attestation import Attestation, AttestationFile, merge, propose
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.terms import DAY, MilestoneKind
from llamafund_chain.chain import abi
from llamafund_chain.chain.signatures import recover_digest
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.manifests import DatasetManifest, WeightsManifest

CAMPAIGN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
STATEMENT = Attestation(
    milestone=1,
    kind=MilestoneKind.CHECKPOINT,
    evidence="aa" * 32,
    parent="bb" * 32,
    content_root="cc" * 32,
    content_size=2**63 + 1,
    score=-(2**63),
    expiry=2**63,
)


def accounts(*numbers: int):
    from eth_account import Account

    return [Account.from_key(number.to_bytes(32, "big")) for number in numbers]


def signed(*signers, statement: Attestation = STATEMENT, chain_id: int = 31337) -> AttestationFile:
    signatures = {account.address: statement.sign(account, chain_id, CAMPAIGN) for account in signers}
    return AttestationFile.create(statement, chain_id, CAMPAIGN, signatures)


def contracts_digest(client: CampaignClient, statement: Attestation) -> bytes:
    interface = abi.contract("Campaign")
    call = Call(client.address, interface.encode("attestationDigest", statement.to_abi()))
    return bytes(interface.decode_output("attestationDigest", client.connection.call(call))[0])


def recover(statement: Attestation, signature: str, chain_id: int, campaign: str) -> str | None:
    return recover_digest(statement.digest(chain_id, campaign), bytes.fromhex(signature.removeprefix("0x")))


def test_the_digest_is_the_contracts(stage) -> None:
    client = stage.open()
    for statement in (STATEMENT, replace(STATEMENT, milestone=255, kind=MilestoneKind.WEIGHTS, score=2**63 - 1)):
        ours = statement.digest(stage.devnet.connection.chain_id, client.address)
        assert ours == contracts_digest(client, statement)


def test_the_digest_is_that_of_eth_accounts_typed_data() -> None:
    (account,) = accounts(7)
    signature = account.sign_typed_data(full_message=STATEMENT.typed_data(31337, CAMPAIGN)).signature
    assert recover(STATEMENT, signature.hex(), 31337, CAMPAIGN) == account.address
    assert STATEMENT.sign(account, 31337, CAMPAIGN) == f"0x{signature.hex()}"


@pytest.mark.parametrize("change", ["milestone", "kind", "evidence", "parent", "content_root", "score", "expiry"])
def test_a_signature_counts_for_no_other_statement(change: str) -> None:
    (account,) = accounts(7)
    signature = STATEMENT.sign(account, 31337, CAMPAIGN)
    values = {"kind": MilestoneKind.WEIGHTS, "evidence": "00" * 32, "parent": "00" * 32, "content_root": "00" * 32}
    other = replace(STATEMENT, **{change: values.get(change, 5)})
    assert recover(other, signature, 31337, CAMPAIGN) != account.address
    assert recover(STATEMENT, signature, 1, CAMPAIGN) != account.address
    assert recover(STATEMENT, signature, 31337, "0x" + "11" * 20) != account.address


def test_malleable_signatures_are_no_signatures() -> None:
    (account,) = accounts(7)
    digest = STATEMENT.digest(31337, CAMPAIGN)
    raw = bytes.fromhex(STATEMENT.sign(account, 31337, CAMPAIGN)[2:])
    high = (ORDER - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big")
    assert recover_digest(digest, raw) == account.address
    assert recover_digest(digest, raw[:32] + high + bytes([55 - raw[64]])) is None
    assert recover_digest(digest, raw[:64] + bytes([raw[64] - 27])) is None
    assert recover_digest(digest, raw[:64]) is None
    assert recover_digest(digest, bytes(64) + b"\x1b") is None


def test_a_file_is_read_back_exactly(tmp_path: Path) -> None:
    file = signed(*accounts(7, 8))
    file.save(tmp_path / "attestation.json")
    again = AttestationFile.load(tmp_path / "attestation.json")
    assert again == file
    assert again.statement == STATEMENT
    assert again.chain_id == 31337


WRITER = "It is the file that `llamafund attest --out` writes."
SIGNATURE = "signature in the first entry of signatures"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (
            ("schema",),
            "llamafund/attestation/2",
            (
                "schema is 'llamafund/attestation/2'. It must be 'llamafund/attestation/1'. "
                "Did you mean llamafund/attestation/1?"
            ),
        ),
        (
            ("surprise",),
            1,
            "surprise is not known here. Known are schema, chain, campaign, attestation, signatures. Leave it out.",
        ),
        (("chain",), "31337", "chain is '31337'. It must name a chain as CAIP-2 does. Write it like eip155:1."),
        (
            ("campaign",),
            "0x12",
            (
                "campaign is '0x12'. It must be an address: 0x and 40 hexadecimal digits. "
                "Copy it again; `llamafund wallet list` shows your own."
            ),
        ),
        (("attestation", "score"), -5, 'attestation.score is -5. It must be text. Put it in quotes: "-5".'),
        (
            ("attestation", "score"),
            "1e6",
            (
                "attestation.score is '1e6'. It must be a whole number in quotes, without leading zeros. "
                'Write it like "42".'
            ),
        ),
        (
            ("attestation", "score"),
            "9223372036854775808",
            (
                "attestation.score is '9223372036854775808'. "
                "It must be from -9223372036854775808 to 9223372036854775807. Check the number."
            ),
        ),
        (
            ("attestation", "content_size"),
            "-1",
            "attestation.content_size is '-1'. It must be from 0 to 18446744073709551615. Check the number.",
        ),
        (
            ("attestation", "milestone"),
            256,
            "attestation.milestone is 256. It must be at most 255. Choose a smaller number.",
        ),
        (
            ("attestation", "kind"),
            "OTHER",
            f"attestation.kind is 'OTHER'. It must be 'DATASET', 'CHECKPOINT' or 'WEIGHTS'. {WRITER}",
        ),
        (
            ("attestation", "evidence"),
            "AA" * 32,
            (
                f"attestation.evidence is '{'AA' * 30}… (4 more characters)'. "
                f"It must be a SHA-256 hash: 64 lower-case hexadecimal digits. Write it as {'aa' * 32}."
            ),
        ),
        (("attestation",), ..., "attestation is missing. Add it."),
        (("signatures",), {}, "signatures is an object. It must be a list. Put the entries in brackets: [ ]."),
        (
            ("signatures",),
            [{"signer": CAMPAIGN, "signature": "0xzz"}],
            (
                f"{SIGNATURE} is '0xzz'. "
                "It must be a signature: 0x and an even number of lower-case hexadecimal digits. Ask for it again."
            ),
        ),
        (
            ("signatures",),
            [{"signer": CAMPAIGN, "signature": "0x00", "note": "hi"}],
            "note in the first entry of signatures is not known here. Known are signer, signature. Leave it out.",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, place: tuple[str, ...], value: object, said: str) -> None:
    document = json.loads(signed(*accounts(7)).model_dump_json())
    target = document
    for key in place[:-1]:
        target = target[key]
    if value is ...:
        del target[place[-1]]
    else:
        target[place[-1]] = value
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError) as refused:
        AttestationFile.load(path)
    assert str(refused.value) == f"{str(path)!r} is not an attestation file: {said}"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", f": it is empty. {WRITER}"),
        (b"not json", f": line 1, column 1: a value is missing here. {WRITER}"),
        (b"[" * 100_000, f": it is nested more than 32 deep. {WRITER}"),
        (b"\xff\xfe", f": line 1: the byte 0xff is not UTF-8 text. {WRITER}"),
        (b'{"chain": 1, "chain": 2}', f": the key 'chain' occurs twice in one object. {WRITER}"),
        (b"[]", ": it is a list. It must be an object. Write its keys and values there."),
        (b" " * 300_000, f". It is longer than 262144 bytes. {WRITER}"),
    ],
)
def test_bytes_that_are_no_file_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        AttestationFile.load(path)
    assert str(refused.value) == f"{str(path)!r} is not an attestation file{said}"


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        AttestationFile.load(tmp_path / "nothing.json")


def test_signatures_are_put_in_the_attestors_order() -> None:
    one, two, three = accounts(7, 8, 9)
    attestors = (one.address, two.address, three.address)
    statement, signers, signatures = merge([signed(three), signed(one)], attestors)
    assert (statement, signers) == (STATEMENT, 0b101)
    digest = STATEMENT.digest(31337, CAMPAIGN)
    assert [recover_digest(digest, signature) for signature in signatures] == [one.address, three.address]


def test_a_signature_given_twice_counts_once() -> None:
    one, two = accounts(7, 8)
    _, signers, signatures = merge([signed(one), signed(one, two)], (one.address, two.address))
    assert signers == 0b11
    assert len(signatures) == 2


def test_files_of_different_statements_are_not_put_together() -> None:
    one, two = accounts(7, 8)
    other = signed(two, statement=replace(STATEMENT, score=5))
    with pytest.raises(VerificationError, match="not of the same attestation"):
        merge([signed(one), other], (one.address, two.address))


def test_files_for_different_chains_are_not_put_together() -> None:
    one, two = accounts(7, 8)
    with pytest.raises(VerificationError, match="eip155:1"):
        merge([signed(one), signed(two, chain_id=1)], (one.address, two.address))


def test_a_signer_who_is_no_attestor_is_refused() -> None:
    one, two = accounts(7, 8)
    with pytest.raises(VerificationError, match="not an attestor"):
        merge([signed(two)], (one.address,))


def test_a_signature_under_another_name_is_refused() -> None:
    one, two = accounts(7, 8)
    signature = STATEMENT.sign(two, 31337, CAMPAIGN)
    file = AttestationFile.create(STATEMENT, 31337, CAMPAIGN, {one.address: signature})
    with pytest.raises(VerificationError, match="not valid"):
        merge([file], (one.address, two.address))


def test_a_contracts_signature_is_left_to_the_contract() -> None:
    (one,) = accounts(7)
    file = AttestationFile.create(STATEMENT, 31337, CAMPAIGN, {one.address: "0x1234"})
    assert merge([file], (one.address,), contracts=[one.address])[2] == (b"\x12\x34",)


@pytest.mark.parametrize("with_code", [False, True])
@pytest.mark.parametrize("junk_first", [False, True])
def test_a_junk_signature_does_not_shadow_a_good_one(with_code: bool, junk_first: bool) -> None:
    (one,) = accounts(7)
    junk = AttestationFile.create(STATEMENT, 31337, CAMPAIGN, {one.address: "0x" + "11" * 65})
    files = [junk, signed(one)] if junk_first else [signed(one), junk]
    _, signers, signatures = merge(files, (one.address,), contracts=[one.address] if with_code else [])
    assert signers == 1
    assert [signature.hex() for signature in signatures] == [STATEMENT.sign(one, 31337, CAMPAIGN)[2:]]


def test_of_a_contracts_signatures_the_one_that_it_accepts_counts() -> None:
    (one,) = accounts(7)
    files = [
        AttestationFile.create(STATEMENT, 31337, CAMPAIGN, {one.address: text}) for text in ("0x11", "0x22", "0x11")
    ]
    asked: list[tuple[str, bytes]] = []

    def judge(signer: str, digest: bytes, signature: bytes) -> bool:
        asked.append((signer, digest))
        return signature == b"\x22"

    assert merge(files, (one.address,), contracts=[one.address], judge=judge)[2] == (b"\x22",)
    assert set(asked) == {(one.address, STATEMENT.digest(31337, CAMPAIGN))}
    with pytest.raises(VerificationError, match="does not accept it"):
        merge(files, (one.address,), contracts=[one.address], judge=lambda *_: False)


def test_different_signatures_that_nobody_can_judge_are_refused_by_name() -> None:
    (one,) = accounts(7)
    files = [AttestationFile.create(STATEMENT, 31337, CAMPAIGN, {one.address: text}) for text in ("0x11", "0x22")]
    with pytest.raises(VerificationError, match=rf"different signatures for {one.address}.*files 1, 2"):
        merge(files, (one.address,), contracts=[one.address])


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(UsageError):
        merge([], ())


def test_a_proposal_for_a_milestone_takes_parent_score_and_time_from_their_sources(stage) -> None:
    stage.open()
    stage.fund()
    statement = propose(stage.client, 0, stage.run.dataset)
    assert statement.parent == stage.client.terms.proposal
    assert statement.score == 0
    assert statement.content_root == stage.run.dataset.content.root
    assert statement.expiry == stage.devnet.connection.timestamp() + 7 * DAY


def test_a_proposal_of_the_wrong_kind_or_for_no_milestone_is_refused(stage) -> None:
    stage.open()
    with pytest.raises(VerificationError, match="CHECKPOINT"):
        propose(stage.client, 1, stage.run.dataset)
    with pytest.raises(LlamafundError, match="no milestone 3"):
        propose(stage.client, 3, stage.run.dataset)


def test_the_same_attestation_for_another_campaign_is_not_put_together_with_it() -> None:
    one, two = accounts(7, 8)
    elsewhere = "0x" + "11" * 20
    other = AttestationFile.create(STATEMENT, 31337, elsewhere, {two.address: STATEMENT.sign(two, 31337, elsewhere)})
    for files in ([signed(one), other], [other, signed(one)]):
        with pytest.raises(VerificationError, match="campaign") as refused:
            merge(files, (one.address, two.address))
        assert elsewhere in str(refused.value)
    same = signed(two).model_copy(update={"campaign": CAMPAIGN.lower()})
    assert merge([signed(one), same], (one.address, two.address))[1] == 0b11


def test_what_two_files_differ_in_is_named_and_nothing_else() -> None:
    one, two = accounts(7, 8)
    other = signed(two, statement=replace(STATEMENT, score=5))
    with pytest.raises(VerificationError, match=r"score is -?\d+ in one and 5 in another") as refused:
        merge([signed(one), other], (one.address, two.address))
    assert "expiry" not in str(refused.value)


@pytest.mark.parametrize(
    ("size", "root", "withheld"),
    [(0, "00" * 32, True), (1, "00" * 32, False), (0, "00" * 31 + "01", False), (0, "ff" * 32, False)],
)
def test_content_is_withheld_where_neither_root_nor_size_is_given(size: int, root: str, withheld: bool) -> None:
    assert replace(STATEMENT, content_size=size, content_root=root).withholds_content is withheld


def test_what_is_no_attestation_on_chain_is_told() -> None:
    good = STATEMENT.to_abi()
    assert Attestation.from_abi(good) == STATEMENT
    for broken in (good[:-1], (*good, 1), (good[0], 3, *good[2:]), (*good[:2], None, *good[3:]), 7):
        with pytest.raises(VerificationError, match="not an attestation"):
            Attestation.from_abi(broken)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "low", "high"),
    [("content_size", 0, 2**64 - 1), ("expiry", 0, 2**64 - 1), ("score", -(2**63), 2**63 - 1)],
)
def test_the_smallest_and_the_largest_numbers_are_read_back(tmp_path: Path, part: str, low: int, high: int) -> None:
    for value in (low, high):
        statement = replace(STATEMENT, **{part: value})
        AttestationFile.create(statement, 1, CAMPAIGN, {}).save(tmp_path / "file.json")
        assert AttestationFile.load(tmp_path / "file.json").statement == statement
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match="must be from"):
            AttestationFile.create(replace(STATEMENT, **{part: value}), 1, CAMPAIGN, {})


def test_a_saved_file_is_for_people_to_read_and_its_numbers_are_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    signed(*accounts(7)).save(path)
    text = path.read_text()
    assert text.startswith('{\n  "schema": "llamafund/attestation/1",\n  "chain"')
    for wrong in ('"milestone": "1"', '"milestone": 1.0', '"milestone": true'):
        path.write_text(text.replace('"milestone": 1', wrong))
        with pytest.raises(UsageError, match=r"attestation\.milestone"):
            AttestationFile.load(path)
    path.write_text(text.replace('"chain": "eip155:31337"', '"chain": 31337'))
    with pytest.raises(UsageError, match="chain"):
        AttestationFile.load(path)


def test_a_file_may_be_as_long_as_the_limit_and_not_a_byte_longer(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    signed(*accounts(7)).save(path)
    data = path.read_bytes()
    path.write_bytes(data + b" " * (262_144 - len(data)))
    assert AttestationFile.load(path).statement == STATEMENT
    path.write_bytes(data + b" " * (262_145 - len(data)))
    with pytest.raises(UsageError, match="longer than 262144"):
        AttestationFile.load(path)


class Opened:
    """A campaign that is only terms and a state."""

    terms = terms()

    def state(self):
        return state(latest_evidence="ab" * 32)


def manifest(kind: str):
    cls = {"dataset": DatasetManifest, "weights": WeightsManifest}[kind]
    content = {"root": "ef" * 32, "size": 8}
    return cls.model_validate_json(json.dumps(getattr(examples, kind)(content=content)))


def test_a_proposed_attestation_takes_each_part_from_its_source_and_is_valid_for_a_week() -> None:
    made = propose(Opened(), 1, manifest("weights"))
    assert (made.milestone, made.kind, made.parent, made.score) == (1, MilestoneKind.WEIGHTS, "ab" * 32, -5)
    assert (made.content_root, made.content_size) == ("ef" * 32, 8)
    assert made.expiry == state().timestamp + 7 * 86_400
    assert propose(Opened(), 1, manifest("weights"), 5).expiry == 5
    without = propose(Opened(), 0, manifest("dataset"), withhold_content=True)
    assert (without.score, without.content_root, without.content_size) == (0, "00" * 32, 0)


def test_only_milestones_of_the_terms_are_proposed_and_only_their_kind() -> None:
    for place in (-1, 2):
        with pytest.raises(UsageError, match=f"no milestone {place}"):
            propose(Opened(), place, manifest("weights"))
    with pytest.raises(VerificationError, match="Milestone 0 is DATASET"):
        propose(Opened(), 0, manifest("weights"))
