"""The page: complete, self-contained, and unmoved by hostile text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from llamafund_chain.audit import (
    AccountsReport,
    Alarm,
    ArbiterFacts,
    Asset,
    Attested,
    AuditReport,
    CampaignFacts,
    Curve,
    Flow,
    MilestoneReport,
    Money,
    NextStep,
    PayeeReport,
    Person,
    Reference,
    ReportCheck,
    Signer,
    Verdict,
)
from llamafund_chain.audit.model import moment
from llamafund_chain.audit.report import render_html
from llamafund_chain.audit.report.drawings import draw_curves, draw_money

HOSTILE = '</title><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\x1b[2J\u202e" onload="alert(3)'

_VOID = {"meta", "rect", "line", "path", "polyline", "circle", "br", "img", "link", "input"}


class Page(HTMLParser):
    """Counts elements and notices those that are never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


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
        "verdict": Verdict(
            holds=False,
            headline=text,
            passed=1,
            warned=0,
            failed=1,
            skipped=0,
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
        "flows": (
            Flow(direction="in", kind="pledge", label=text, amount="12.5"),
            Flow(direction="out", kind="claimed", label=text, amount="3"),
            Flow(direction="inside", kind="locked", label=text, amount="8.5"),
            Flow(direction="inside", kind="rounding", label="rounding", amount="0.000000000000000001"),
        ),
        "curves": (Curve(name=text, points=((0, 8_000_000), (20, 5_000_000), (40, 2_500_000))),),
        "references": (Reference(name=text, value=4_600_000),),
        "limits": (text,),
    }
    return AuditReport(**{**values, **changes})


def test_hostile_text_stays_text_wherever_it_stands() -> None:
    page = Page(html := render_html(report(HOSTILE)))

    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "{{ 7*7 }}" in html


def test_the_page_needs_nothing_from_anywhere() -> None:
    html = render_html(report())
    page = Page(html)

    assert not {"script", "link", "img", "iframe", "object", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href", "srcset", "action")]
    assert not re.search(r"url\(|@import|https?://", html)
    assert "default-src 'none'" in html


def test_every_element_is_closed() -> None:
    assert Page(render_html(report())).open == []


def test_the_page_shows_verdict_money_and_curve() -> None:
    html = render_html(report())

    for part in ("Where the money is", "The training run", "Every check", "What this audit cannot show"):
        assert part in html
    assert html.count("<svg") == 2


def test_the_page_says_who_can_do_what_until_when_and_who_the_arbiter_is() -> None:
    html = render_html(report("words"))
    assert "<strong>Backers</strong> from 1970-01-01 00:00:01 UTC before 2027-01-17 08:00:00 UTC: words" in html
    assert "<strong>Court</strong>: words</li>" in html
    court = f"which asks the court <code>{'0x' + '78' * 20}</code>"
    assert f"{court}; a contest gives it 7 days to refuse the last tranche; dispute 4 waits for its ruling" in html
    facts = report("words").facts
    assert facts is not None
    assert facts.arbiter is not None
    for changes, shown in (
        ({"court": None, "dispute": None}, "a contract; a contest gives it"),
        ({"court": None, "dispute": None, "has_code": False}, "a single key; a contest gives it"),
    ):
        other = facts.model_copy(update={"arbiter": facts.arbiter.model_copy(update=changes)})
        assert shown in render_html(report("words", facts=other))
    assert "have passed. If the arbiter contests the last one, up to 7 days more.</p>" in html
    without = facts.model_copy(update={"arbiter": None})
    assert "2 days have passed.</p>" in render_html(report("words", facts=without))
    assert "nobody: nothing holds back the last tranche" in render_html(report("words", facts=without))


def test_two_columns_that_differ_are_marked() -> None:
    html = render_html(report())

    assert html.count("✗ differ") == 1
    assert "✓ equal" in html


def test_a_look_alike_has_a_page_of_its_own() -> None:
    html = render_html(report(facts=None, milestones=(), money=None, flows=(), curves=(), references=(), limits=()))

    assert "not a LlamaFund campaign" in html
    assert "<svg" not in html


def test_the_page_is_the_same_for_the_same_report() -> None:
    assert render_html(report()) == render_html(AuditReport.model_validate_json(report().to_json()))


def test_the_money_picture_keeps_the_proportions() -> None:
    drawing = draw_money(report().flows)

    assert drawing is not None
    heights = {stream.amount: stream.bar_height for stream in drawing.streams}
    assert heights["3"] / heights["12.5"] == pytest.approx(3 / 12.5)
    assert heights["0.000000000000000001"] > 1


def test_without_money_there_is_no_picture() -> None:
    assert draw_money(()) is None


@pytest.mark.parametrize(
    "points",
    [
        ((0, 5), (1, 5)),
        ((0, -(10**18)), (10**6, 10**18)),
        ((0, 0),),
        ((0, 1), (1, 2), (10**9, 3)),
    ],
)
def test_extreme_curves_stay_inside_their_frame(points: tuple[tuple[int, int], ...]) -> None:
    (chart,) = draw_curves([Curve(name="x", points=points)], [])

    assert all(chart.left <= x <= chart.right and chart.top <= y <= chart.bottom for x, y in chart.dots)
    assert len(chart.x_ticks) + len(chart.y_ticks) < 40


def test_the_template_ships_with_the_package() -> None:
    import llamafund_chain.audit.report

    assert (Path(llamafund_chain.audit.report.__file__).parent / "audit.html.j2").is_file()


def test_labels_of_close_levels_lie_neither_on_one_another_nor_on_a_line() -> None:
    curve = Curve(name="loss", points=((0, 3_000_000), (10, 2_200_000)))
    values = {"bytes": 4_650_000, "tokens": 2_516_000, "promised": 2_400_000}
    (chart,) = draw_curves([curve], [Reference(name=name, value=value) for name, value in values.items()])
    texts = sorted(level.text_y for level in chart.levels)
    assert all(later - earlier >= 14 for earlier, later in pairwise(texts))
    assert not [text for text in texts for level in chart.levels if text - 10 <= level.y <= text + 3]
