"""The stage: real commands on a real chain, recorded expectations, and what the reader sees of both."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from llamafund_chain.campaign.refusals import explain
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.demo.facts import DemoFacts
from llamafund_chain.demo.folder import prepare
from llamafund_chain.demo.narrator import Narrator
from llamafund_chain.demo.stage import Stage, StoryError
from llamafund_chain.errors import ExitCode


@pytest.fixture(scope="module")
def chain() -> Iterator[Devnet]:
    with Devnet(explain=explain) as devnet:
        yield devnet


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stage(tmp_path: Path, chain: Devnet, said: io.StringIO) -> Stage:
    folder = prepare(tmp_path / "out")
    facts = DemoFacts(started_at=0, folder=str(folder.root))
    return Stage(folder=folder, narrator=Narrator(said), devnet=chain, connection=chain.connection, facts=facts)


def test_a_command_runs_for_real_and_its_result_comes_back(stage: Stage) -> None:
    made = stage.run("wallet", "new", "rosa", "--light-kdf")

    assert made.result["wallet"]["name"] == "rosa"
    assert (stage.folder.keystore / "rosa.json").is_file()


def test_the_reader_sees_the_command_without_the_storys_own_options(stage: Stage, said: io.StringIO) -> None:
    stage.run("wallet", "new", "rosa", "--light-kdf")

    assert "$ llamafund wallet new rosa --light-kdf\n" in said.getvalue()


def test_long_values_are_shown_by_their_names(stage: Stage, said: io.StringIO) -> None:
    address = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    stage.name("CAMPAIGN", address)

    stage.run("campaign", "show", address, expect=ExitCode.VERIFICATION_FAILED)

    assert f"CAMPAIGN={address}" in said.getvalue()
    assert "$ llamafund campaign show $CAMPAIGN\n" in said.getvalue()


def test_a_command_that_ends_otherwise_than_expected_breaks_the_story(stage: Stage) -> None:
    with pytest.raises(StoryError, match="exit code 3 instead of 0"):
        stage.run("campaign", "show", "0x5FbDB2315678afecb367f032d93F642f64180aa3")


def test_a_command_that_succeeds_where_it_must_be_refused_breaks_the_story(stage: Stage) -> None:
    with pytest.raises(StoryError, match="exit code 0 instead of 5"):
        stage.run("wallet", "list", expect=ExitCode.REVERTED)


def test_a_command_as_a_program_of_its_own_gives_the_same_result(stage: Stage) -> None:
    stage.run("wallet", "new", "rosa", "--light-kdf")

    here, there = stage.run("wallet", "list"), stage.run("wallet", "list", own_process=True)

    assert here.result == there.result


def test_every_command_is_logged_without_the_passphrase(stage: Stage) -> None:
    stage.run("wallet", "new", "rosa", "--light-kdf", show=False)

    (log,) = stage.folder.logs.iterdir()
    assert "exit code 0" in log.read_text()
    assert stage.folder.passphrase.read_text().strip() not in log.read_text()


def test_an_expectation_that_holds_is_recorded_and_shown(stage: Stage, said: io.StringIO) -> None:
    with stage.act("A proposal"):
        stage.expect_equal("Pledged now", "3 ETH", "3 ETH")

    (recorded,) = stage.facts.expectations
    assert (recorded.act, recorded.held, recorded.found) == (1, True, "3 ETH")
    assert "Pledged now: 3 ETH" in said.getvalue()


def test_an_expectation_that_does_not_hold_is_recorded_and_stops_the_story(stage: Stage, said: io.StringIO) -> None:
    with pytest.raises(StoryError, match="act 1"), stage.act("A proposal"):
        stage.expect_equal("Pledged now", "2 ETH", "3 ETH")

    assert stage.facts.expectations[0].held is False
    assert "2 ETH instead of 3 ETH" in said.getvalue()
    assert stage.facts.acts[0].title == "A proposal"


def test_time_passes_on_the_chain_and_makes_what_was_before_final(stage: Stage) -> None:
    before = stage.connection.block("latest")

    stage.advance(3 * 86_400)

    assert stage.connection.timestamp() >= before.timestamp + 3 * 86_400
    assert stage.connection.block("finalized").number >= before.number
