"""What commands print with `--json` is published, and the schemas and the page about it are those of the commands."""

from __future__ import annotations

import json

import cli_documents
import export_cli_schemas
import pytest
from json_documents import check_documents
from jsonschema import Draft202012Validator, ValidationError

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.errors import ExitCode

PIN = {"schema": "llamafund/cli/1", "command": "store pins", "store": "store", "pins": []}


def test_schemas_and_page_are_up_to_date() -> None:
    assert export_cli_schemas.differences(export_cli_schemas.build()) == []


def test_every_command_has_a_schema_and_no_schema_is_left_over() -> None:
    assert set(export_cli_schemas.command_names()) == {*cli_documents.DOCUMENTS, *cli_documents.EVENTS}


def test_every_schema_is_one() -> None:
    schemas = [json.loads(text) for path, text in export_cli_schemas.build().items() if path.suffix == ".json"]
    assert len(schemas) >= 48
    for schema in schemas:
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "change",
    [{"schema": "llamafund/cli/2"}, {"more": 1}, {"pins": [7]}, {"store": None}, {"command": "store pin"}],
    ids=lambda change: next(iter(change)),
)
def test_a_document_that_is_not_as_published_is_found(change: dict[str, object]) -> None:
    check_documents(json.dumps(PIN))
    with pytest.raises(ValidationError):
        check_documents(json.dumps({**PIN, **change}))
    with pytest.raises(ValidationError):
        check_documents(json.dumps({name: value for name, value in {**PIN, **change}.items() if name != "store"}))


def error_of(ran) -> dict:
    document = ran.json
    assert document["error"]["exit_code"] == ran.code
    assert ran.stderr.endswith(f"Error: {document['error']['message']}\n")
    return document


def test_an_error_is_a_document_too(llamafund, stage, no_node: str) -> None:
    client = stage.open()
    where = ("--rpc", stage.devnet.rpc_url, "--json")
    for words, command, kind in (
        (("campaign", "show", client.address, "--rpc", no_node, "--json"), "campaign show", "node_unreachable"),
        (("campaign", "show", stage.judge.address, *where), "campaign show", "verification_failed"),
        (("campaign", "show", "0x12", *where), "campaign show", "usage"),
        (("campaign", "shwo", "--json"), None, "usage"),  # codespell:ignore
        (("--nonsense", "--json"), None, "usage"),
        (("mine", "--wallet", "nobody", *where), "mine", "usage"),
    ):
        document = error_of(llamafund(*words))
        assert (document["command"], document["error"]["kind"]) == (command, kind), words
        assert document["error"]["exit_code"] == ExitCode[kind.upper()]


def test_an_error_has_the_parts_of_the_message(llamafund, stage) -> None:
    ran = llamafund("campaign", "activate", stage.open().address, "--rpc", stage.devnet.rpc_url, "--json")
    error = error_of(ran)["error"]
    assert (error["what"], error["why"]) == ("No wallet was named", "This command signs")
    assert error["remedy"].startswith("Name one with --wallet")


def test_an_interruption_is_an_error_of_its_own(llamafund, stage, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CampaignClient, "verify_code", interrupt)
    ran = llamafund("campaign", "show", stage.open().address, "--rpc", stage.devnet.rpc_url, "--json")
    document = json.loads(ran.stdout)
    assert (ran.code, document["error"]["kind"]) == (130, "interrupted")


def test_a_result_that_is_a_no_is_printed_once(llamafund, stage, tmp_path) -> None:
    ran = llamafund(
        "verify", tmp_path, "--manifest", stage.run.dataset.sha256, "--store", stage.run.store.location, "--json"
    )
    assert ran.code == 3
    assert ran.json["verified"] is False


def test_without_json_an_error_is_a_line_and_nothing_else(llamafund) -> None:
    assert llamafund("campaign", "show", "0x12").stdout == ""
