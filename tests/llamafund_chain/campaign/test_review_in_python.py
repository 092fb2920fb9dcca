"""The lines of docs/python.md about reviews run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from review_examples import signed_review

from llamafund_chain import UsageError, find_reviews
from llamafund_chain.store import open_store
from llamafund_chain.store.content import publish_manifest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "python.md"


def test_the_lines_of_the_page_write_and_read_reviews(stage, capsys, tmp_path: Path) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], 5)
    folder = str(tmp_path / "store")
    forged = publish_manifest(open_store(folder), signed_review(stage, b"\x07" * 32, text="Superb."))
    (lines,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    given = {"rpc": stage.devnet.rpc_url, "address": stage.client.address, "account": stage.backers[0]}
    exec(compile(lines, str(PAGE), "exec"), {**given, "folder": folder})
    mine, other = capsys.readouterr().out.splitlines()
    assert mine == f"{stage.backers[0].address} has 5 and says Counting letters does better."
    assert other.startswith(f"{forged} refused ")


def test_a_store_that_cannot_tell_what_it_has_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot tell what it has"):
        list(find_reviews(object(), "eip155:1:0x" + "ab" * 20))
