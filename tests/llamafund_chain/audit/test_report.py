"""The page: complete, self-contained, and unmoved by hostile text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from report_examples import HOSTILE, a_backer, ledger, report

from llamafund_chain.audit import AuditReport, Curve, PeopleGraph, PersonNode, PersonTie, Reference, ReportCheck
from llamafund_chain.audit.recheck.report_file import read_report
from llamafund_chain.audit.report import render_html, rounded
from llamafund_chain.audit.report.drawings import draw_curves, draw_money
from llamafund_chain.audit.report.glossary import GLOSSARY
from llamafund_chain.audit.report.people_drawing import draw_people

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


def test_hostile_text_stays_text_wherever_it_stands() -> None:
    page = Page(html := render_html(report(HOSTILE)))

    assert page.tags.count("script") == 2  # what the page carries, and what checks it
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "{{ 7*7 }}" in html


def test_the_page_needs_nothing_from_anywhere() -> None:
    html = render_html(report())
    page = Page(html)

    assert not {"link", "img", "iframe", "object", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href", "srcset", "action")]
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttpRequest|WebSocket|import\(", html)
    assert "default-src 'none'" in html


def test_every_element_is_closed() -> None:
    assert Page(render_html(report())).open == []


def test_the_page_shows_verdict_money_and_curve() -> None:
    html = render_html(report())

    for part in ("Where the money is", "The training run", "Every check", "What no audit of this kind can show"):
        assert part in html
    assert html.count('role="img"') == 5  # shares, money, people, and the curve for two widths


def test_the_page_says_who_can_do_what_until_when_and_who_the_arbiter_is() -> None:
    html = render_html(report("words"))
    early = '<time datetime="1970-01-01T00:00:01Z">1970-01-01 00:00:01 UTC</time>'
    late = '<time datetime="2027-01-17T08:00:00Z">2027-01-17 08:00 UTC</time>'
    assert f"<strong>Backers</strong> from {early} before {late}: words" in html
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

    assert html.count('✗<span class="word">differ') == 1
    assert '✓<span class="word">equal' in html


def test_a_look_alike_has_a_page_of_its_own() -> None:
    nothing = {"milestones": (), "flows": (), "curves": (), "references": (), "limits": (), "records": ()}
    html = render_html(report(facts=None, money=None, people=None, **nothing))

    assert "not a LlamaFund campaign" in html
    assert "<svg" not in html


@pytest.mark.parametrize(
    ("exact", "shown"),
    [
        ("12", "12"),
        ("0.1234", "0.1234"),
        ("12.000000000000000008", "≈ 12"),
        ("0.123456", "≈ 0.1234"),
        ("0.000000000000000001", "under 0.0001"),
        ("1000000.500050001", "≈ 1000000.5"),
    ],
)
def test_amounts_are_rounded_to_four_decimals_and_say_so(exact: str, shown: str) -> None:
    assert rounded(exact) == shown


def test_an_amount_that_is_rounded_carries_the_exact_one() -> None:
    page = render_html(report(money=report().money.model_copy(update={"events": ledger(locked="8.00000000000000001")})))

    assert '<summary>≈ 8</summary><span data-of="money.events.locked">8.00000000000000001</span>' in page


def test_a_backer_sees_where_the_money_is_and_what_to_do_until_when() -> None:
    page = render_html(report(backer=a_backer()))

    for part in ("Where this backer&#39;s money is", "Waiting bonds", "What this backer can do", "--backer 0x"):
        assert part.replace("&#39;", "'") in page
    assert "There is nothing that this backer" in render_html(report(backer=a_backer(next_steps=())))


def test_what_was_not_checked_is_named_with_its_reason_and_accuses_nobody() -> None:
    lost = ReportCheck(group="milestone 1", name="weights-fetched", status="unchecked", detail="the store is silent")
    page = render_html(report(checks=(lost,), depth="weights"))

    assert "<strong>Milestone 1, weights-fetched</strong>: the store is silent" in page
    assert "accuses nobody" in page
    assert "This audit repeated no training." in page


def test_the_style_is_the_one_that_the_policy_allows() -> None:
    page = render_html(report())
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()

    assert f"style-src 'sha256-{digest}'" in page
    assert "unsafe" not in page
    assert not [name for name, _ in Page(page).attributes if name == "style"]


def test_the_script_is_the_one_that_the_policy_allows() -> None:
    page = render_html(report())
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()

    assert f"script-src 'sha256-{digest}'" in page


def test_a_page_carries_its_report_to_the_last_character(tmp_path: Path) -> None:
    made = report(HOSTILE)
    path = tmp_path / "page.html"
    path.write_text(render_html(made), encoding="utf-8")

    assert read_report(path).report == made


def test_each_word_of_the_glossary_stands_on_the_page() -> None:
    page = render_html(report())

    assert [word for word in GLOSSARY if f"<dt>{word}</dt>" not in page] == []


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


@pytest.mark.parametrize(
    ("outcome", "sign", "look"), [("holds", "✓", "good"), ("fails", "✗", "bad"), ("unchecked", "?", "open")]
)
def test_each_outcome_has_a_sign_and_a_look_of_its_own(outcome: str, sign: str, look: str) -> None:
    made = report()
    page = render_html(made.model_copy(update={"verdict": made.verdict.model_copy(update={"outcome": outcome})}))

    assert f'<section class="verdict {look}"' in page
    assert f'<div class="sign" aria-hidden="true">{sign}</div>' in page
    assert f".verdict.{look} .sign {{ background" in page


def test_ties_between_people_are_a_picture_and_a_list() -> None:
    html = render_html(report())
    assert 'class="people"' in html
    assert html.count('class="tie"') == 3
    assert f"0x{'aa' * 20} paid 0x{'bb' * 20} first <code>0x{'ef' * 32}</code>" in html
    assert "it does not prove who anybody is" in html
    assert "2 campaigns, 1 completed" in html


def test_a_crowd_of_accounts_is_drawn_in_part() -> None:
    keys = [f"0x{number:040x}" for number in range(60)]
    nodes = tuple(PersonNode(address=key, roles="backer", kind="", group=0) for key in keys)
    ties = tuple(
        PersonTie(kind="moved", one=one, other=other, text="paid", binds=True, block=1, transaction=None)
        for one, other in pairwise(keys)
    )
    drawn = draw_people(PeopleGraph(accounts=nodes, ties=ties, looked=""))
    assert drawn is not None
    assert (len(drawn.rows), drawn.hidden) == (24, 36)
    assert len(drawn.arcs) <= 32
    assert all(arc.text_x + 16 <= drawn.width for arc in drawn.arcs)
    assert draw_people(PeopleGraph(accounts=nodes, ties=(), looked="")) is None
    assert draw_people(None) is None
