"""The folder that a demo writes, and the folders that it must never touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.demo.folder import MARKER, prepare
from llamafund_chain.errors import ExitCode, UsageError


def test_a_new_folder_is_made_with_everything_in_its_place(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "out")

    assert (folder.root / MARKER).is_file()
    assert all(place.is_dir() for place in (folder.campaigns, folder.manifests, folder.signatures, folder.frauds))


def test_the_passphrase_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "out")

    assert folder.passphrase.stat().st_mode & 0o777 == 0o600
    assert len(folder.passphrase.read_text().strip()) >= 24


def test_two_demos_have_different_passphrases(tmp_path: Path) -> None:
    assert prepare(tmp_path / "a").passphrase.read_text() != prepare(tmp_path / "b").passphrase.read_text()


def test_the_folder_of_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    (prepare(tmp_path / "out").manifests / "old.json").write_text("{}")

    assert list(prepare(tmp_path / "out").manifests.iterdir()) == []


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    assert (prepare(tmp_path / "out").root / MARKER).is_file()


def test_a_folder_that_no_demo_wrote_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    precious = tmp_path / "out" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")

    with pytest.raises(UsageError, match="does not replace") as refusal:
        prepare(tmp_path / "out")

    assert refusal.value.exit_code == ExitCode.USAGE
    assert precious.read_text() == "years of work"
    assert list(precious.parent.iterdir()) == [precious]


def test_a_link_to_a_demo_folder_is_refused(tmp_path: Path) -> None:
    real = prepare(tmp_path / "real").root
    (tmp_path / "out").symlink_to(real)

    with pytest.raises(UsageError, match="not a plain folder"):
        prepare(tmp_path / "out")

    assert (real / MARKER).is_file()


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    with pytest.raises(UsageError, match="not a plain folder"):
        prepare(tmp_path / "out")

    assert (tmp_path / "out").read_text() == "a file"


def test_a_place_whose_parent_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        prepare(tmp_path / "nowhere" / "out")
