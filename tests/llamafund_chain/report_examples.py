"""Reports about nothing real, with a stranger's text wherever one stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llamafund_chain.audit import (
    AccountsReport,
    Alarm,
    ArbiterFacts,
    Asset,
    Attested,
    AuditReport,
    BackerReport,
    CampaignFacts,
    Curve,
    Flow,
    Happening,
    MilestoneReport,
    Money,
    NextStep,
    PayeeReport,
    PeopleGraph,
    Person,
    PersonNode,
    PersonTie,
    RecordLine,
    Reference,
    ReportCheck,
    Signer,
    Verdict,
    audit,
)
from llamafund_chain.audit.model import moment
from llamafund_chain.audit.node.settings import Demands
from llamafund_chain.checks.run import BUILT_IN

HOSTILE = '</title><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\x1b[2J\u202e" onload="alert(3)'


def ledger(**changes: str | None) -> AccountsReport:
    values: dict[str, str | None] = {
        "deposited": "12.5",
        "withdrawn": "0.5",
        "pledged": "12",
        "released": "4",
        "claimed": "3",
        "claimable": "1",
        "refunded": "0",
        "refundable": "0",
        "locked": "8",
        "rounding": "0",
        "held": "9",
        "balance": "9",
    }
    return AccountsReport(**{**values, **changes})


def report(text: str = "plain", **changes: object) -> AuditReport:
    """A report about nothing real, with `text` wherever a stranger's text stands."""
    person = Person(address="0x" + "ab" * 20, name=text)
    attested = Attested(
        evidence="cd" * 32,
        at=moment(1_800_000_000),
        window_ends=moment(1_800_172_800),
        contested=False,
        score=-2_345_678,
        content_size=10,
        signers=(Signer(index=0, person=person, proof="signature"),),
        transaction="ef" * 32,
        block=7,
    )
    values: dict[str, object] = {
        "chain": "eip155:31337",
        "campaign": "0x" + "12" * 20,
        "block": 9,
        "block_hash": "34" * 32,
        "time": moment(1_800_000_100),
        "finality": "finalized",
        "depth": "replay",
        "verdict": Verdict(
            outcome="fails",
            headline=text,
            passed=1,
            warned=0,
            failed=1,
            unchecked=0,
            alarms=(
                Alarm(
                    milestone=0,
                    in_time=True,
                    until=moment(1_800_172_800),
                    headline=text,
                    reasons=(text,),
                    choices=(text,),
                ),
            ),
            next_steps=(
                NextStep(who="backers", what=text, command=text, opens=moment(1), until=moment(1_800_172_800)),
                NextStep(who="court", what=text, command="", opens=None, until=None),
            ),
        ),
        "checks": (
            ReportCheck(group="contract", name="campaign-is-genuine", status="pass", detail=text),
            ReportCheck(group="milestone 0", name="seed-fresh", status="fail", detail=text, data={"x": text}),
        ),
        "facts": CampaignFacts(
            title=text,
            summary=text,
            status="Active",
            researcher=person,
            attestors=(person,),
            quorum=1,
            arbiter=ArbiterFacts(
                person=person, has_code=True, court="0x" + "78" * 20, dispute=4, ruling_window=604_800
            ),
            asset=Asset(address="0x" + "56" * 20, symbol=text, decimals=18),
            goal="10",
            cap="20",
            funding_deadline=moment(1_790_000_000),
            stop_bps=5_000,
            stop_support="0",
            challenge_window=172_800,
            proposal="78" * 32,
            dataset=None,
            training_seed=None,
            license=text,
            metric=text,
            target=3_000_000,
        ),
        "milestones": (
            MilestoneReport(
                index=0,
                kind="WEIGHTS",
                title=text,
                bps=10_000,
                tranche="12",
                deadline=moment(1_800_500_000),
                min_score=-3_000_000,
                state="window-open",
                attested=attested,
            ),
        ),
        "money": Money(
            events=ledger(),
            state=ledger(deposited=None, withdrawn=None, locked="7"),
            payees=(PayeeReport(account=person, bps=10_000, claimed="3", claimable="1"),),
            backers=2,
        ),
        "timeline": (
            Happening(at=moment(1_790_000_000), what=text, transaction="ef" * 32),
            Happening(at=moment(1_800_500_000), what=text, to_come=True),
        ),
        "flows": (
            Flow(direction="in", kind="pledge", label=text, amount="12.5"),
            Flow(direction="out", kind="claimed", label=text, amount="3"),
            Flow(direction="inside", kind="locked", label=text, amount="8.5"),
            Flow(direction="inside", kind="rounding", label="rounding", amount="0.000000000000000001"),
        ),
        "curves": (Curve(name=text, points=((0, 8_000_000), (20, 5_000_000), (40, 2_500_000))),),
        "references": (Reference(name=text, value=4_600_000),),
        "records": (
            RecordLine(account="0x" + "ab" * 20, role="researcher", campaigns=2, text="2 campaigns, 1 completed"),
        ),
        "people": a_graph(text),
        "limits": (text,),
    }
    return AuditReport(**{**values, **changes})


def a_graph(text: str = "plain") -> PeopleGraph:
    """Two attestors with one payer, and a payee whom nothing ties."""
    payer, *keys = ("0x" + pair * 20 for pair in ("aa", "bb", "cc", "dd"))
    roles = ("", "attestor 0", "attestor 1", "payee 0")
    groups = (0, 0, 0, None)
    return PeopleGraph(
        accounts=tuple(
            PersonNode(address=address, roles=role, kind="", group=group)
            for address, role, group in zip((payer, *keys), roles, groups, strict=True)
        ),
        ties=(
            *(
                PersonTie(
                    kind="paid-first",
                    one=payer,
                    other=key,
                    text=f"{payer} paid {key} first",
                    binds=True,
                    block=7,
                    transaction="ef" * 32,
                )
                for key in keys[:2]
            ),
            PersonTie(
                kind="same-name", one=keys[0], other=keys[1], text=text, binds=True, block=None, transaction=None
            ),
        ),
        looked="Looked at: little.",
    )


def a_backer(text: str = "plain", **changes: object) -> BackerReport:
    """One backer's money."""
    values: dict[str, object] = {
        "address": "0x" + "ba" * 20,
        "deposited": "2.000000000000000007",
        "withdrawn": "0",
        "pledged": "2.000000000000000007",
        "share": 1_666,
        "released": "0.66",
        "locked": "1.34",
        "refundable": "0",
        "refunded": "0",
        "bonds": text,
        "votes_to_stop": True,
        "next_steps": (NextStep(who="backers", what=text, command=text, opens=None, until=moment(1_800_172_800)),),
    }
    return BackerReport(**{**values, **changes})


def proven_report(stage: Any, folder: Path) -> AuditReport:
    """The report of a campaign whose weights are attested, their window open."""
    stage.honest_until(2)
    stage.attest(2, stage.run.export())
    return report_of(stage, folder)


def report_of(stage: Any, folder: Path) -> AuditReport:
    """The report of the stage's campaign as it stands, proven, with the first backer's money."""
    return audit(
        stage.client,
        stage.run.store,
        finality="finalized",
        replay_segments=0,
        workdir=folder,
        progress=lambda _: None,
        checks=BUILT_IN,
        backer=stage.backers[0].address,
        demands=Demands(state=True),
    )
