"""How the demo talks: short paragraphs, commands that the reader could type, and their results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""


class Narrator:
    """Writes the story to one stream, with colours and spinners only on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=False)
        self._console.width = min(self._console.width, _WIDEST)
        self._after_gap = False

    @property
    def on_terminal(self) -> bool:
        """Whether a person is watching."""
        return self._console.is_terminal

    def title(self, text: str) -> None:
        """The very first line."""
        self.gap()
        self._put(Text(self._printable(text), style="bold"))

    def chapter(self, title: str) -> None:
        """The heading of an act or of the summary."""
        self.gap()
        self._put(Rule(f"[bold]{escape(self._printable(title))}", align="left"))

    def scene(self, title: str) -> None:
        """A heading inside an act."""
        self.gap()
        self._put(Text(self._printable(title), style="bold"))

    def say(self, text: str) -> None:
        """A paragraph of story; line breaks inside it are joined."""
        self.gap()
        self._put(Text(self._printable(" ".join(text.split()))))

    def gap(self) -> None:
        """An empty line, unless there is one already."""
        if not self._after_gap:
            self._console.print()
            self._after_gap = True

    def command(self, line: str) -> None:
        """A command as the reader would type it."""
        for number, piece in enumerate(_typed(self._printable(line), self._console.width - 6)):
            shown = f"    {piece}" if number else f"$ {piece}"
            self._put(_indented(Text(shown, style="cyan", no_wrap=True, overflow="ignore"), 2))

    def code(self, text: str) -> None:
        """Lines of a program or a shell, as they are."""
        for line in text.strip().splitlines():
            self._put(_indented(Text(self._printable(line), style="cyan"), 4))

    def held(self, text: str) -> None:
        """An expectation that held."""
        self._mark(self._sign("✓", "ok"), "green", text)

    def broken(self, text: str) -> None:
        """An expectation that did not hold."""
        self._mark(self._sign("✗", "FAILED"), "bold red", text)

    def caught(self, text: str) -> None:
        """A fraud that was caught."""
        self._mark(self._sign("■", "CAUGHT"), "bold yellow", text)

    def item(self, text: str) -> None:
        """One line of what a command found."""
        self._mark(self._sign("·", "-"), "dim", text)

    def quote(self, text: str) -> None:
        """A quotation: an error message, or the model's text."""
        self._put(Padding(Text(self._printable(text), style="italic"), (0, 4, 0, 6), expand=False))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = 1) -> None:
        """A table; columns from `numbers_from` on are right-aligned."""
        self.gap()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="right" if index >= numbers_from else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(self._printable(cell)) for cell in row))
        self._put(_indented(table, 2))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show that work is in progress: a spinner on a terminal, one line elsewhere."""
        if not self.on_terminal:
            self.item(f"{text} ...")
            yield
            return
        with self._console.status(f"  {escape(self._printable(text))}", spinner="line", spinner_style="dim"):
            yield

    def _mark(self, sign: str, style: str, text: str) -> None:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text(sign, style=style), Text(self._printable(text)))
        self._put(_indented(grid, 2))

    def _put(self, renderable: RenderableType) -> None:
        self._after_gap = False
        if self.on_terminal:
            self._console.print(renderable)
            return
        with self._console.capture() as captured:
            self._console.print(renderable)
        for line in captured.get().splitlines():
            self._console.print(Text(line.rstrip(), no_wrap=True, overflow="ignore"))

    def _sign(self, sign: str, plain: str) -> str:
        return plain if self._console.options.ascii_only else sign

    def _printable(self, text: str) -> str:
        """`text` without control characters, and without characters that the stream cannot encode."""
        shown = "".join(char if char.isprintable() or char == "\n" else "�" for char in text)
        return shown.encode(self._console.encoding, "replace").decode(self._console.encoding)


def _indented(renderable: RenderableType, columns: int) -> Padding:
    return Padding(renderable, (0, 0, 0, columns), expand=False)


def _typed(line: str, width: int) -> list[str]:
    """A long command on several lines that a shell reads as one; an option stays with its value."""
    units: list[str] = []
    for word in line.split(" "):
        if units and units[-1].startswith("--") and " " not in units[-1] and not word.startswith("--"):
            units[-1] += f" {word}"
        else:
            units.append(word)
    lines: list[str] = []
    for unit in units:
        if lines and len(lines[-1]) + len(unit) + 3 <= width:
            lines[-1] += f" {unit}"
        else:
            lines.append(unit)
    return [*(f"{piece} \\" for piece in lines[:-1]), lines[-1]]
