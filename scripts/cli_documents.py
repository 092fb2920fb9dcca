"""What every command prints with `--json`, field by field. `export_cli_schemas.py` makes schemas and a page of it.

A field may be added later. None is taken away or means something else while the documents are `llamafund/cli/1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from llamafund_chain.audit.model import AuditReport
from llamafund_chain.campaign.lookout import AlertKind
from llamafund_chain.campaign.records import NUMBERS
from llamafund_chain.demo.facts import DemoFacts
from llamafund_chain.errors import ExitCode

Schema = dict[str, Any]
ALERTS = get_args(AlertKind)


@dataclass(frozen=True)
class Optional:
    """A field that is not always there."""

    schema: Schema


# ------------------------------------------------------------------- values

VALUES: dict[str, Schema] = {
    "Address": {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$", "description": "An address with its checksum."},
    "Amount": {
        "type": "string",
        "pattern": r"^-?[0-9]+(\.[0-9]+)?$",
        "description": "An amount in whole coins, exact, as a decimal number.",
    },
    "Chain": {"type": "string", "pattern": "^eip155:[0-9]+$", "description": "A chain, in CAIP-2 form."},
    "Cid": {"type": "string", "pattern": "^[a-zA-Z0-9]{46,100}$", "description": "An IPFS address."},
    "Count": {"type": "integer", "minimum": 0, "description": "A number of things, or the number of one, from 0."},
    "Hash": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "32 bytes as 64 hexadecimal digits."},
    "Hex": {"type": "string", "pattern": "^0x[0-9a-fA-F]*$", "description": "Bytes, or a number, in hexadecimal."},
    "Seconds": {"type": "integer", "description": "Seconds: a length of time, or a point in time since 1970 (unix)."},
    "Wei": {"type": "string", "pattern": "^-?[0-9]+$", "description": "Wei, as a decimal number."},
}


def _value(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


ADDRESS, AMOUNT, CHAIN, CID, COUNT, HASH, HEX, SECONDS, WEI = map(_value, VALUES)
ANY: Schema = {}
BOOL: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
TEXT: Schema = {"type": "string"}
DOCUMENT: Schema = {"type": "object"}


def told(schema: Schema, description: str) -> Schema:
    """A value that needs a word."""
    return {**schema, "description": description}


def enum(*values: str) -> Schema:
    return {"enum": list(values)}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def map_of(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def obj(fields: Mapping[str, Schema | Optional] | None = None, /, **more: Schema | Optional) -> Schema:
    """An object with these fields."""
    every = {**(fields or {}), **more}
    return {
        "type": "object",
        "properties": {name: field.schema if isinstance(field, Optional) else field for name, field in every.items()},
        "required": [name for name, field in every.items() if not isinstance(field, Optional)],
    }


# ------------------------------------------------------------- what is shared

STATUS = enum("Funding", "Active", "Completed", "Failed")
KIND = enum("DATASET", "CHECKPOINT", "WEIGHTS")
SYMBOL = told(nullable(TEXT), "The asset's symbol, which any token can choose; null for the coin of an unknown chain.")
TITLE = told(nullable(TEXT), "What the proposal calls itself; null if the proposal is not at hand.")
CAMPAIGN: dict[str, Schema | Optional] = {"chain": CHAIN, "campaign": ADDRESS}
RECEIPT: dict[str, Schema | Optional] = {
    "transaction": HASH,
    "block": COUNT,
    "gas_used": COUNT,
    "fee_wei": WEI,
    "data_fee_wei": told(WEI, "The part of the fee that a rollup takes for data, in wei."),
}
ASSET = obj(address=nullable(ADDRESS), symbol=SYMBOL, decimals=COUNT)
TERMS = obj(
    researcher=ADDRESS,
    asset=ASSET,
    goal=AMOUNT,
    cap=AMOUNT,
    funding_deadline=SECONDS,
    stop_bps=COUNT,
    challenge_window=SECONDS,
    answer_window=SECONDS,
    min_bond_wei=WEI,
    slack=SECONDS,
    proposal=HASH,
    dataset=told(nullable(HASH), "Null if the terms only promise a dataset."),
    attestors=array(ADDRESS),
    quorum=COUNT,
    arbiter=nullable(ADDRESS),
    ruling_window=SECONDS,
    payees=array(obj(account=ADDRESS, bps=COUNT)),
    milestones=array(
        obj(
            kind=KIND,
            bps=COUNT,
            deadline=SECONDS,
            min_score=told(nullable(INTEGER), "In millionths; null if every score is accepted."),
        )
    ),
)
CHECK = obj(
    name=TEXT,
    status=enum("pass", "fail", "warn", "unchecked"),
    detail=TEXT,
    data=told(DOCUMENT, "What the check compared; each check has its own fields."),
)


def later(schema: Schema) -> Schema:
    """A value that is read after the transaction: no trouble with that makes a success an error."""
    return told(nullable(schema), "Null if the node could not tell afterwards.")


def sent(**fields: Schema | Optional) -> Schema:
    """What a command prints about a transaction of a campaign."""
    return obj({**CAMPAIGN, **fields, **RECEIPT})


ERROR = obj(
    error=obj(
        kind=told(enum(*(code.name.lower() for code in ExitCode if code)), "The exit code in words."),
        exit_code=told({"enum": [int(code) for code in ExitCode if code]}, "The exit code of the command."),
        message=told(TEXT, "The line that also stands on standard error."),
        what=told(TEXT, "What happened, with the value."),
        why=told(TEXT, "Why; empty if that is obvious."),
        remedy=told(TEXT, "What to do next; empty if there is nothing."),
    ),
)
"""Printed instead of a result, or after the events of a command that keeps running."""

UNSIGNED = obj(
    unsigned=told(map_of(HEX), "The transaction that nobody signed here, with the fields of eth_sendTransaction."),
    link=told(nullable(TEXT), "The transaction as a link for wallets (EIP-681), if it can be one."),
    batch=told(nullable(DOCUMENT), "The file for the Transaction Builder of a Safe."),
)
"""Printed by a command that signs, when the signer is `print` or `safe:`."""

LEFT_OUT = told(map_of(COUNT), "Number of files by what they are left out as.")
DRY_RUN = obj(
    dry_run=obj(
        {"from": ADDRESS},
        chain=CHAIN,
        to=ADDRESS,
        function=TEXT,
        arguments=told(DOCUMENT, "By name, in words."),
        value_wei=WEI,
        gas=COUNT,
        highest_fee_wei=WEI,
        data_fee_wei=nullable(WEI),
    ),
)
"""Printed with `--dry-run` by a command that sends."""

SENT = obj(transaction=HASH, block={"type": "null"})
"""Printed with `--wait none` by a command that sends."""

FATE = enum("included", "reverted", "pending", "missing", "replaced")
TX: dict[str, Schema | Optional] = {
    "chain": CHAIN,
    "transaction": told(nullable(HASH), "Null if its signer sent it and did not say."),
    "sent_at": SECONDS,
    "sent_by": told(TEXT, "The command."),
    "step": told(TEXT, "What it does, in words."),
    "from": ADDRESS,
    "nonce": COUNT,
    "to": ADDRESS,
    "value_wei": WEI,
    "replaces": nullable(HASH),
}
TX_FATE: dict[str, Schema | Optional] = {
    "fate": told(nullable(FATE), "Null if it cannot be told now."),
    "settled": nullable(enum("finalized", "safe", "latest")),
    "block": nullable(COUNT),
    "replaced_by": nullable(HASH),
}

MANIFEST_SHOWN: dict[str, Schema | Optional] = {
    "sha256": HASH,
    "cid": CID,
    "bytes": COUNT,
    "manifest_schema": told(TEXT, "See docs/schemas."),
    "complete": BOOL,
    "file_count": nullable(COUNT),
    "document": told(DOCUMENT, "The manifest itself, by the schema that it names."),
    "files": nullable(array(obj(path=TEXT, size=COUNT, sha256=HASH, cid=CID))),
    "look_alikes": array(array(TEXT)),
}
WALLET = obj(name=TEXT, address=nullable(ADDRESS), path=TEXT)

# ---------------------------------------------------------------- documents

STRAYS = told(array(TEXT), "What does not belong into the store's folders, and was left alone.")

DOCUMENTS: dict[str, Schema] = {
    "answer": obj({**CAMPAIGN}, answered=array(obj({"chunk": COUNT, "bond": AMOUNT, **RECEIPT}))),
    "attest": obj(
        {**CAMPAIGN},
        milestone=COUNT,
        kind=Optional(KIND),
        evidence=HASH,
        content_root=Optional(HASH),
        content_size=Optional(COUNT),
        content_withheld=Optional(BOOL),
        score=Optional(INTEGER),
        expiry=Optional(SECONDS),
        attestor=Optional(nullable(ADDRESS)),
        checks=Optional(array(CHECK)),
        signed=BOOL,
        file=nullable(TEXT),
        added=Optional(told(array(ADDRESS), "Whose signatures were added to the file.")),
    ),
    "audit": obj(
        report=AuditReport.model_json_schema(mode="serialization"),
        fetched=told(
            array(
                obj(
                    cid=CID,
                    store=told(COUNT, "Which of the named stores delivered it, from 0."),
                    at=told(SECONDS, "When it was first delivered whole, unix."),
                )
            ),
            "What this auditor fetched, beside the report, which is the same for every auditor.",
        ),
    ),
    "attest export": obj(
        campaign=ADDRESS,
        chain=CHAIN,
        milestone=COUNT,
        evidence=HASH,
        attestor=ADDRESS,
        eas_uid=told(HEX, "The attestation's number at EAS."),
        eas_file=TEXT,
    ),
    "audit sign": obj(
        campaign=ADDRESS,
        chain=CHAIN,
        auditor=ADDRESS,
        signature=HEX,
        report_sha256=told(HASH, "Of its canonical JSON (RFC 8785), which is signed."),
        file=TEXT,
        eas_uid=told(nullable(HEX), "The attestation's number at EAS."),
        eas_file=nullable(TEXT),
    ),
    "audit diff": obj(
        campaign=ADDRESS,
        chain=CHAIN,
        old_block=COUNT,
        new_block=COUNT,
        changes=array(
            obj(
                part=enum("verdict", "check", "milestone", "money", "people", "backer"),
                what=TEXT,
                before=told(nullable(TEXT), "Null if the older report has nothing there."),
                after=told(nullable(TEXT), "Null if the newer report has nothing there."),
            )
        ),
    ),
    "audit verify-report": obj(
        campaign=ADDRESS,
        chain=CHAIN,
        block=COUNT,
        verdict=told(TEXT, "The outcome that the report gives."),
        report_sha256=told(HASH, "Of its canonical JSON (RFC 8785), which is what an auditor signs."),
        auditor=told(nullable(ADDRESS), "Who is said to have signed it; null if nobody is."),
        outcome=told(enum("holds", "broken", "unknown"), "What all items together amount to."),
        items=array(obj(item=TEXT, status=enum("holds", "broken", "unknown"), detail=TEXT)),
    ),
    "campaign activate": sent(pledged=later(AMOUNT), training_seed=later(HASH)),
    "campaign create": sent(proposal=HASH, salt=HASH, terms=TERMS),
    "campaign extend": sent(
        by_seconds=SECONDS,
        deadlines=array(obj(milestone=COUNT, old=SECONDS, new=SECONDS)),
        slack=SECONDS,
        slack_used=SECONDS,
        slack_left=SECONDS,
    ),
    "campaign list": obj(
        chain=CHAIN,
        block=COUNT,
        timestamp=SECONDS,
        total=told(COUNT, "Number of campaigns before any filter."),
        campaigns=array(
            obj(
                campaign=ADDRESS,
                title=TITLE,
                researcher=ADDRESS,
                proposal=HASH,
                salt=HASH,
                block=told(COUNT, "The block that opened it."),
                status=nullable(STATUS),
                takes_pledges=nullable(BOOL),
                pledged=nullable(AMOUNT),
                goal=nullable(AMOUNT),
                cap=nullable(AMOUNT),
                asset=SYMBOL,
                asset_address=told(nullable(ADDRESS), "Null for the chain's coin."),
                attested=nullable(COUNT),
                milestones=nullable(COUNT),
                deadline=told(
                    nullable(obj(what=enum("funding", "milestone", "answer", "release"), at=SECONDS)),
                    "What happens next by itself.",
                ),
                problem=told(nullable(TEXT), "Why it cannot be read; then what would be read is null."),
            )
        ),
    ),
    "campaign show": obj(
        {**CAMPAIGN},
        salt=HASH,
        factory=ADDRESS,
        title=TITLE,
        final=told(nullable(BOOL), "Whether the state is also the finalized one; null if the node knows none."),
        terms=TERMS,
        names=told(map_of(TEXT), "ENS names by address, verified both ways; only the address counts."),
        warnings=array(TEXT),
        challenge_bond=obj(
            status=enum("pass", "warn", "unchecked"),
            detail=TEXT,
            min_bond_wei=Optional(WEI),
            bond_today_wei=Optional(WEI),
            answer_cost_wei=Optional(WEI),
            answer_data_fee_wei=Optional(WEI),
        ),
        status=STATUS,
        failure=told(
            nullable(obj(cause=enum("goal", "start", "milestone", "answer", "stop", "refusal"), at=nullable(SECONDS))),
            "Why it failed: what was missed by then, or who ended it.",
        ),
        block=COUNT,
        timestamp=SECONDS,
        pledged=AMOUNT,
        released=AMOUNT,
        claimed=told(array(AMOUNT), "By payee."),
        claimable=told(array(AMOUNT), "By payee."),
        balance=AMOUNT,
        stop_support=AMOUNT,
        votes_from=nullable(SECONDS),
        attested=COUNT,
        attested_at=nullable(SECONDS),
        window_end=nullable(SECONDS),
        challenged_at=nullable(SECONDS),
        contested=BOOL,
        refused=BOOL,
        stopped=BOOL,
        slack_used=SECONDS,
        training_seed=nullable(HASH),
        latest_evidence=HASH,
        refunded=told(AMOUNT, "Refunds since it failed."),
        refunds=told(COUNT, "Number of them."),
        content=nullable(obj(root=HASH, size=COUNT)),
        arbiter=nullable(
            obj(
                address=ADDRESS,
                has_code=BOOL,
                court=nullable(ADDRESS),
                question=nullable(TEXT),
                extra_data=nullable(HEX),
                appeal_reserve=nullable(SECONDS),
                dispute=nullable(COUNT),
            )
        ),
        updates=COUNT,
        latest_updates=array(obj(update=HASH, block=COUNT, title=nullable(TEXT), problem=nullable(TEXT))),
    ),
    "campaign update": sent(update=HASH, cid=CID, title=TEXT, links=array(obj(title=TEXT, sha256=HASH)), store=TEXT),
    "challenge": sent(milestone=COUNT, chunk=COUNT, challenger=ADDRESS, bond=AMOUNT, answer_by=later(SECONDS)),
    "claim": sent(payee=COUNT, recipient=ADDRESS, amount=later(AMOUNT), asset=SYMBOL),
    "compare-weights": obj(
        one=TEXT,
        other=TEXT,
        verdict=enum("same", "cast", "different"),
        tensors=COUNT,
        same=COUNT,
        casts=array(TEXT),
        not_same=array(
            obj(
                tensor=TEXT,
                verdict=TEXT,
                cast=nullable(TEXT),
                differing_elements=nullable(COUNT),
                largest_difference=nullable(TEXT),
                reason=TEXT,
            )
        ),
    ),
    "completion": obj(shell=enum("bash", "zsh", "fish"), script=told(TEXT, "What the shell evaluates.")),
    "config path": obj(
        user=obj(path=nullable(TEXT), exists=BOOL),
        project=obj(path=nullable(TEXT), exists=BOOL),
    ),
    "config show": obj(
        settings=told(
            map_of(obj(value=nullable(TEXT), origin=TEXT, place=told(nullable(TEXT), "The variable or the file."))),
            "By name.",
        ),
        networks=told(map_of(obj(rpc=array(TEXT), chain_id=nullable(COUNT), from_block=nullable(COUNT))), "By name."),
    ),
    "contest": sent(arbiter=ADDRESS, rule_by=SECONDS),
    "dataset build": obj(
        dataset=HASH,
        cid=CID,
        content_root=HASH,
        content_size=COUNT,
        parts=map_of(obj(files=COUNT, documents=COUNT)),
        left_out=LEFT_OUT,
        store=TEXT,
        manifest_file=TEXT,
    ),
    "demo": obj(facts=DemoFacts.model_json_schema(mode="serialization")),
    "devnet": obj(
        rpc=TEXT,
        chain=CHAIN,
        factory=ADDRESS,
        implementation=ADDRESS,
        funded=array(ADDRESS),
        accounts=array(obj(name=TEXT, address=ADDRESS, key=HEX)),
        environment=told(map_of(TEXT), "The variables that let other commands use the chain."),
    ),
    "web": obj(url=TEXT, chain=nullable(CHAIN), campaign=nullable(ADDRESS)),
    "devnet advance": obj(chain=CHAIN, by_seconds=SECONDS, block=COUNT, timestamp=SECONDS),
    "dispute": sent(
        dispute=later(COUNT),
        court=ADDRESS,
        court_fee_wei=Optional(WEI),
        manifest=Optional(HASH),
        cid=Optional(CID),
        reports=Optional(array(obj(command=enum("audit", "replay"), said=TEXT, cid=CID))),
        store=Optional(TEXT),
        rule_by=Optional(later(SECONDS)),
    ),
    "evaluate": obj(
        weights=TEXT,
        proposal=HASH,
        metric=TEXT,
        value=nullable(INTEGER),
        target=INTEGER,
        claimed=nullable(INTEGER),
        score=nullable(INTEGER),
        published_tokenizer_is_the_datas=nullable(BOOL),
        kept=BOOL,
        metrics=told(map_of(INTEGER), "In millionths, by name."),
    ),
    "export": obj(
        checkpoint=HASH,
        weights=HASH,
        content_root=HASH,
        content_size=COUNT,
        parameters=COUNT,
        license=TEXT,
        metrics=told(map_of(INTEGER), "In millionths, by name."),
        score=INTEGER,
        campaign=nullable(ADDRESS),
        milestone=nullable(COUNT),
        attestation=told(nullable(TEXT), "The file that was written."),
        out=TEXT,
    ),
    "fetch": obj(
        manifest=Optional(HASH),
        manifest_schema=Optional(TEXT),
        files_fetched=Optional(COUNT),
        files_present=Optional(COUNT),
        out=TEXT,
        cid=Optional(CID),
        source=Optional(TEXT),
    ),
    "init": obj(directory=TEXT, files=array(TEXT)),
    "inspect": obj(
        {**CAMPAIGN},
        block=COUNT,
        status=STATUS,
        grade=told(enum("A", "B", "C", "D"), "What follows from the findings; see docs/risk-rules.md."),
        means=TEXT,
        rules_version=COUNT,
        findings=told(
            array(
                obj(
                    rule=TEXT,
                    outcome=enum("holds", "fails", "unknown"),
                    severity=enum("critical", "high", "medium", "low"),
                    detail=TEXT,
                    ask=told(nullable(TEXT), "What to do or ask; null if the rule holds."),
                )
            ),
            "Each rule that applies.",
        ),
        facts=told(DOCUMENT, "What the rules were applied to; docs/risk-rules.md describes each fact."),
        people=told(
            nullable(
                array(
                    obj(
                        account=ADDRESS,
                        roles=TEXT,
                        kind=TEXT,
                        owners=told(array(ADDRESS), "Others who can act for it, as its code says."),
                        threshold=told(COUNT, "How many of its owners that takes."),
                    )
                )
            ),
            "Null if the node did not tell.",
        ),
        records=told(
            array(
                obj(
                    account=ADDRESS,
                    role=enum("researcher", "attestor"),
                    campaigns=told(COUNT, "In how many campaigns it has the role."),
                    text=TEXT,
                )
            ),
            "Track records of the researcher and the attestors; `llamafund people` has the events.",
        ),
        proposal=told(nullable(DOCUMENT), "The proposal's manifest; null if it could not be read."),
        training=told(
            nullable(obj(status=TEXT, detail=TEXT)), "Whether anybody can repeat the promised training, as a check."
        ),
        bond=obj(
            status=enum("pass", "warn", "unchecked"),
            detail=TEXT,
            min_bond_wei=Optional(WEI),
            bond_today_wei=Optional(WEI),
            answer_cost_wei=Optional(WEI),
            answer_data_fee_wei=Optional(WEI),
        ),
        amount=told(AMOUNT, "The money that the rest is about."),
        risk=told(TEXT, "Who can take how much of it, when, and on whose word, in one sentence."),
        asset=SYMBOL,
        stages=array(
            obj(
                milestone=COUNT,
                kind=KIND,
                amount=told(AMOUNT, "What its release takes of the amount."),
                total=told(AMOUNT, "What is released then, earlier milestones included."),
                earliest=SECONDS,
                latest=SECONDS,
                released=BOOL,
                votes=told(BOOL, "Whether a stop vote can still prevent it."),
            )
        ),
        payees=array(obj(account=ADDRESS, bps=COUNT, most=told(AMOUNT, "The most that it can get of the amount."))),
        attestors=obj(quorum=COUNT, accounts=array(ADDRESS)),
        stopping=obj(
            takes=told(AMOUNT, "Pledges that stop the campaign."),
            blocking=told(AMOUNT, "A pledge that blocks every stop vote."),
            forcing=told(AMOUNT, "What somebody must add to stop it alone."),
            votes_from=nullable(SECONDS),
        ),
    ),
    "manifest check": obj({**MANIFEST_SHOWN}, valid=BOOL, contradictions=array(TEXT)),
    "manifest export": obj(format=TEXT, media_type=TEXT, manifest=HASH, file=nullable(TEXT), text=nullable(TEXT)),
    "manifest schema": obj(name=Optional(TEXT), json_schema=Optional(DOCUMENT), names=Optional(array(TEXT))),
    "manifest show": obj({**MANIFEST_SHOWN}),
    "mine": obj(
        chain=CHAIN,
        account=ADDRESS,
        block=COUNT,
        timestamp=SECONDS,
        campaigns=array(
            obj(
                campaign=ADDRESS,
                title=TITLE,
                status=STATUS,
                asset=SYMBOL,
                asset_address=told(nullable(ADDRESS), "Null for the chain's coin."),
                roles=array(TEXT),
                pledge=AMOUNT,
                refundable=AMOUNT,
                refunded=AMOUNT,
                votes_to_stop=BOOL,
                votes_from=nullable(SECONDS),
                bonds=told(
                    array(obj(milestone=COUNT, chunk=COUNT, bond=AMOUNT)), "Of challenges that nobody has answered."
                ),
                payouts=array(obj(payee=COUNT, claimable=AMOUNT, claimed=AMOUNT)),
                steps=array(
                    obj(
                        urgency=told(enum("money", "duty", "choice"), "Money to collect, something due, or possible."),
                        what=TEXT,
                        command=TEXT,
                        opens=nullable(SECONDS),
                        until=nullable(SECONDS),
                    )
                ),
            )
        ),
    ),
    "review list": obj(
        campaign=ADDRESS,
        chain=CHAIN,
        proposal=HASH,
        block=COUNT,
        reviews=array(
            obj(
                review=told(TEXT, "The hash of its manifest, or what you named it by if it cannot be read."),
                verdict=told(
                    enum("genuine", "refused", "unchecked"), "Whether its signature, campaign and proposal are right."
                ),
                problem=told(nullable(TEXT), "Why it is not genuine; null if it is."),
                reviewer=told(nullable(ADDRESS), "Null, like all that it says, unless it is genuine."),
                written=told(nullable(SECONDS), "As the reviewer says."),
                text=told(nullable(TEXT), "Markdown, from a stranger."),
                pledge=told(nullable(AMOUNT), "What the reviewer has pledged to the campaign."),
                asset=TEXT,
                roles=told(array(TEXT), "What the reviewer is in this campaign's terms, for example `attestor 0`."),
                records=told(
                    array(obj(role=enum("researcher", "attestor", "payee", "backer"), campaigns=array(ADDRESS))),
                    "The campaigns of this chain in which the reviewer has a role.",
                ),
            )
        ),
    ),
    "review write": obj(
        campaign=ADDRESS,
        chain=CHAIN,
        proposal=HASH,
        review=told(HASH, "Of its manifest, `llamafund/review/1`."),
        cid=CID,
        reviewer=ADDRESS,
        written=SECONDS,
        store=TEXT,
        file=nullable(TEXT),
    ),
    "people": obj(
        chain=CHAIN,
        account=ADDRESS,
        block=COUNT,
        timestamp=SECONDS,
        campaigns_looked_at=told(COUNT, "Campaigns of the factory up to the block."),
        records=array(
            obj(
                role=enum("researcher", "attestor", "payee", "backer"),
                campaigns=told(array(ADDRESS), "Where it has the role, oldest first; the newest 1 000 at most."),
                numbers=told(
                    array(
                        obj(
                            name=enum(*NUMBERS),
                            unit=enum("count", "seconds", "money"),
                            value=told(TEXT, "A whole number, or an amount in whole coins, as a decimal number."),
                            asset=told(nullable(TEXT), "The symbol of an amount's asset; null for other numbers too."),
                            asset_address=told(nullable(ADDRESS), "Null for the chain's coin, and for other numbers."),
                            events=told(
                                array(obj(campaign=ADDRESS, what=TEXT, block=COUNT, transaction=HASH)),
                                "What the number counts, in order.",
                            ),
                        )
                    ),
                    "Those that are not zero.",
                ),
            )
        ),
    ),
    "pledge": sent(
        backer=ADDRESS,
        payer=ADDRESS,
        amount=AMOUNT,
        asset=SYMBOL,
        means=enum("native", "allowance", "permit", "approval"),
        pledge=told(
            nullable(AMOUNT), "What the backer has pledged in all; null if the node could not tell afterwards."
        ),
    ),
    "proposal check": obj(
        file=TEXT,
        proposal=HASH,
        title=TEXT,
        checks=array(obj(name=TEXT, status=enum("pass", "fail", "warn", "unchecked"), detail=TEXT)),
    ),
    "publish": obj(
        manifest=HASH,
        cid=CID,
        manifest_schema=TEXT,
        files=COUNT,
        bytes=COUNT,
        left_out=LEFT_OUT,
        places=array(
            obj(
                location=TEXT,
                bytes_sent=COUNT,
                bytes_present=COUNT,
                pinned=COUNT,
                seconds=told(TEXT, "As a decimal number."),
                error=nullable(TEXT),
            )
        ),
    ),
    "refund": sent(backer=ADDRESS, recipient=ADDRESS, amount=later(AMOUNT), asset=SYMBOL),
    "replay": obj(
        checkpoint=HASH,
        verdict=told(nullable(TEXT), "Null in a dry run."),
        entropy=told(TEXT, "What the random segments were drawn with, in hexadecimal."),
        segments_in_run=COUNT,
        steps=COUNT,
        share_of_compute=NUMBER,
        estimate=obj(
            tokens=nullable(COUNT), operations=nullable(NUMBER), bytes_to_fetch=COUNT, seconds=nullable(NUMBER)
        ),
        detection_formula=TEXT,
        random_segments=COUNT,
        detection=told(map_of(NUMBER), "The chance to expose a cheat, by the fraction of segments that were faked."),
        picked=told(array(array(ANY)), "First step, last step and reason of each segment."),
        segments=array(
            obj(
                segment=COUNT,
                reason=TEXT,
                first_step=COUNT,
                last_step=COUNT,
                verdict=TEXT,
                files=array(obj(step=COUNT, path=TEXT, published=nullable(TEXT), repeated=nullable(TEXT))),
                settings=told(map_of(array(ANY)), "That may explain a difference, by name: then and now."),
                outside=told(map_of(array(ANY)), "Of this machine, by name: what the recipe says, and what is here."),
                largest_difference=nullable(TEXT),
                largest_change=TEXT,
                tolerance=nullable(TEXT),
                optimizer_difference=nullable(TEXT),
                optimizer_tolerance=nullable(TEXT),
                random_differs=BOOL,
                problem=nullable(TEXT),
                trouble=told(nullable(TEXT), "Why it could not be repeated."),
                ran_on=told(nullable(TEXT), "Which process or worker repeated it."),
                words=told(
                    array(
                        obj(
                            worker=told(nullable(TEXT), "Its address; null if nobody knows."),
                            verdict=TEXT,
                            answer=told(nullable(HASH), "SHA-256 of its answer."),
                            reason=nullable(TEXT),
                        )
                    ),
                    "What workers of a cluster say of it.",
                ),
                seconds=NUMBER,
            )
        ),
        first_difference=nullable(obj(after_step=COUNT, by_step=COUNT)),
        cluster=nullable(
            obj(
                scheduler=TEXT,
                recheck=told(COUNT, "One in so many segments is repeated by a second worker."),
                seed=told(TEXT, "Chose these, in hexadecimal."),
                doubted=told(array(obj(worker=TEXT, reason=TEXT)), "Workers whose word counts for nothing."),
            )
        ),
    ),
    "return-bond": obj(
        {**CAMPAIGN}, recipient=ADDRESS, returned=array(obj(chunk=COUNT, bond=AMOUNT, transaction=HASH))
    ),
    "rule": sent(arbiter=ADDRESS, upheld=BOOL, status=later(STATUS), released_from=nullable(SECONDS)),
    "store check": obj(
        store=TEXT,
        sound=BOOL,
        contents=COUNT,
        bytes=COUNT,
        damaged=array(CID),
        missing=told(array(CID), "Pinned, but not there."),
        unfinished=COUNT,
        strays=STRAYS,
    ),
    "store export": obj(store=TEXT, roots=array(CID), out=TEXT),
    "store gc": obj(store=TEXT, removed=array(CID), bytes_freed=COUNT, unfinished=COUNT, spared=COUNT, strays=STRAYS),
    "store import": obj(
        store=TEXT,
        files=array(CID),
        incomplete=array(told(TEXT, "An address of any version and kind.")),
        other=COUNT,
        roots=array(
            obj(
                cid=told(TEXT, "An address of any version and kind."),
                kind=TEXT,
                files=array(CID),
                problem=nullable(TEXT),
            )
        ),
    ),
    "store list": obj(
        store=TEXT,
        manifests=array(obj(sha256=HASH, manifest_schema=nullable(TEXT), contents=COUNT, bytes=COUNT)),
        by_hand=told(obj(contents=COUNT, bytes=COUNT), "What `llamafund store pin` pinned."),
        unpinned=obj(contents=COUNT, bytes=COUNT),
    ),
    "store pin": obj(store=TEXT, pinned=array(CID)),
    "store pins": obj(store=TEXT, pins=array(CID)),
    "store unpin": obj(
        store=TEXT,
        unpinned=array(CID),
        still_pinned=told(map_of(array(HASH)), "The manifests that pin an address all the same."),
    ),
    "submit": sent(milestone=COUNT, kind=KIND, evidence=HASH, signers=array(ADDRESS), window_end=later(SECONDS)),
    "train": {
        "anyOf": [
            obj(
                recipe=HASH,
                dataset=HASH,
                seed=HASH,
                campaign=nullable(ADDRESS),
                checkpoint=HASH,
                checkpoints=array(
                    obj(step=COUNT, manifest=HASH, metrics=told(map_of(INTEGER), "In millionths."), bytes=COUNT)
                ),
                attestations=array(obj(milestone=COUNT, file=TEXT)),
                out=TEXT,
            ),
            obj(
                recipe=HASH,
                parameters=COUNT,
                trained_parameters=COUNT,
                model_bytes=told(COUNT, "Weights, gradients and optimizer state in each process."),
                activation_bytes=told(COUNT, "What a step takes at most beside them."),
                host_bytes=told(COUNT, "Host memory of each process, without the data."),
                checkpoints=COUNT,
                checkpoints_with_state=told(
                    COUNT, "Those with the optimizer's state, which the initial one has not yet."
                ),
                store_bytes=told(COUNT, "All checkpoints in the store."),
                store_bytes_saved=told(COUNT, "What it would have more if all checkpoints held the state."),
                replay_steps=told(COUNT, "Steps that a replay repeats at least."),
                replay_seconds=told(COUNT, "What these take on the same devices."),
                measuring_seconds_per_megabyte=told(NUMBER, "To measure a checkpoint, by size of the held-out text."),
                tokens=COUNT,
                flops=NUMBER,
                devices=COUNT,
                device=TEXT,
                sustained_flops_per_device=NUMBER,
                seconds=COUNT,
                usd=TEXT,
                fits=BOOL,
                environment=told(map_of(TEXT), "What the recipe can say of this machine."),
                outside=told(map_of(array(ANY)), "By name: what the recipe says, and what is here."),
                decidable=told(
                    array(
                        obj(
                            first_step=COUNT,
                            last_step=COUNT,
                            ways=array(TEXT),
                            apart=TEXT,
                            change=TEXT,
                            decides=told(nullable(BOOL), "Null if this machine computes the same bits in every way."),
                        )
                    ),
                    "With `--decidable`: how far honest repetitions come apart, and what the weights change.",
                ),
            ),
        ]
    },
    "tx cancel": obj({**TX, **RECEIPT}),
    "tx list": obj(transactions=array(obj({**TX, **TX_FATE}))),
    "tx show": obj({**TX, **TX_FATE}),
    "tx speed-up": obj({**TX, **RECEIPT}),
    "tx wait": obj({**TX, **RECEIPT}),
    "unpledge": sent(backer=ADDRESS, recipient=ADDRESS, amount=AMOUNT, asset=SYMBOL, pledge=later(AMOUNT)),
    "verify": obj(
        manifest=HASH,
        manifest_schema=TEXT,
        verified=BOOL,
        files=COUNT,
        bytes=COUNT,
        cached=COUNT,
        missing=array(TEXT),
        extra=array(TEXT),
        changed=array(
            obj(
                path=TEXT,
                expected_size=COUNT,
                actual_size=nullable(COUNT),
                expected_sha256=HASH,
                actual_sha256=nullable(HASH),
                line_ends=told(nullable(TEXT), "`CRLF` or `LF`, if only its line ends differ and it has these."),
            )
        ),
        renamed=array(obj(expected_path=TEXT, actual_path=TEXT)),
        contradictions=array(TEXT),
        left_out=LEFT_OUT,
    ),
    "verify-deployment": obj(
        chain=CHAIN,
        address=ADDRESS,
        block=COUNT,
        block_hash=HASH,
        contract=nullable(TEXT),
        verified=BOOL,
        code=obj(bytes=COUNT, keccak256=HASH),
        compiler=nullable(TEXT),
        metadata=nullable(TEXT),
        immutables=map_of(TEXT),
        factory=ADDRESS,
        implementation=ADDRESS,
        salt=nullable(HASH),
        terms=nullable(TERMS),
        checks=array(CHECK),
    ),
    "vote-stop": sent(
        backer=ADDRESS, support=BOOL, stop_support=later(AMOUNT), needed=later(AMOUNT), asset=SYMBOL, stopped=BOOL
    ),
    "wallet change-passphrase": obj(wallet=WALLET),
    "wallet import": obj(wallet=WALLET),
    "wallet list": obj(keystore=TEXT, wallets=array(WALLET), unusable=array(TEXT)),
    "wallet new": obj(wallet=WALLET),
}
"""By command: the fields beside `schema` and `command`."""

EVENTS: dict[str, dict[str, Schema]] = {
    "watch": {
        "watching": obj(campaign=ADDRESS),
        "open": obj(campaign=ADDRESS, chunk=COUNT, bond=AMOUNT, answer_by=SECONDS),
        "answered": obj({"campaign": ADDRESS, "chunk": COUNT, **RECEIPT}),
        "warning": obj(campaign=ADDRESS, problem=TEXT),
        "heartbeat": obj(campaign=ADDRESS, block=COUNT, block_time=SECONDS, open=COUNT),
        "ending": obj(campaign=ADDRESS, status=STATUS),
        "ended": obj(campaign=ADDRESS, status=STATUS),
        "following": obj(
            backer=told(nullable(ADDRESS), "Null if all campaigns are followed."),
            campaigns=COUNT,
            block=COUNT,
            block_time=SECONDS,
        ),
        "alert": obj(
            chain=CHAIN,
            kind=enum(*ALERTS),
            urgency=told(enum("act", "soon", "info"), "Act now or lose something; something comes up; or it happened."),
            campaign=told(nullable(ADDRESS), "Null for what is about the node."),
            text=TEXT,
            until=told(nullable(SECONDS), "Before when something can be done; null if there is no such time."),
            facts=told(DOCUMENT, "More about it: milestone, evidence, problem, depth, outcome, cause or block."),
        ),
        "trouble": obj(problem=TEXT),
    },
}
"""By command that keeps running: its events, one document a line; the fields beside `schema`, `command`, `event`."""
