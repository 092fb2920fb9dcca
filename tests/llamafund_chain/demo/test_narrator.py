"""How the story is written to terminals, files and poor encodings."""

from __future__ import annotations

import io

from llamafund_chain.demo.narrator import Narrator


def _written(encoding: str = "utf-8") -> tuple[Narrator, io.BytesIO]:
    raw = io.BytesIO()
    return Narrator(io.TextIOWrapper(raw, encoding=encoding, write_through=True)), raw


def test_a_file_gets_no_control_sequences() -> None:
    narrator, raw = _written()

    narrator.chapter("Act 1: A proposal")
    narrator.command("llamafund pledge $CAMPAIGN 4 --wallet alice")
    narrator.held("Pledged: 4 ETH")
    with narrator.waiting("training"):
        narrator.item("in between")

    assert b"\x1b" not in raw.getvalue()
    assert b"$ llamafund pledge $CAMPAIGN 4 --wallet alice" in raw.getvalue()


def test_a_stream_that_cannot_write_the_signs_gets_words_instead() -> None:
    narrator, raw = _written("ascii")

    narrator.held("Pledged")
    narrator.broken("Paid")
    narrator.caught("A lie")
    narrator.quote("naïve …")

    text = raw.getvalue().decode("ascii")
    assert "ok Pledged" in text
    assert "FAILED Paid" in text
    assert "CAUGHT A lie" in text
    assert "na?ve" in text


def test_control_characters_of_strangers_do_not_reach_the_terminal() -> None:
    narrator, raw = _written()

    narrator.quote("\x1b]0;owned\x07 text [bold]not markup[/bold]")

    text = raw.getvalue().decode()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]not markup[/bold]" in text


def test_table_cells_are_not_read_as_markup() -> None:
    narrator, raw = _written()

    narrator.table(["name", "amount"], [["[red]x[/red]", "1"]])

    assert "[red]x[/red]" in raw.getvalue().decode()
