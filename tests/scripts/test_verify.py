"""`scripts/verify.py`: what it gives to Sourcify and Etherscan, and what it makes of their answers.

The services themselves are not asked: a server on this machine stands in for them and speaks their documented formats.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.deployment import addresses, artifacts
from llamafund_chain.errors import LlamafundError, VerificationError

ROOT = Path(__file__).resolve().parents[2]
CHAIN = 11_155_111
KEY = "K3YTHATNOBODYMAYSEE"
JOB = "72d12273-0723-448e-a9f6-f7957128efa5"
GUID = "a7lpxkm9kpcpicx7daftmjifrfhiuhf5vqqnawhkfhzfrcpnxj"
ADDRESSES = addresses.predicted()
CONTRACTS = {"Campaign": ADDRESSES.implementation, "CampaignFactory": ADDRESSES.factory}


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, which asks again at once and has no key in its environment."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import verify

    monkeypatch.setattr(verify, "POLL", 0.0)
    monkeypatch.delenv(verify.KEY_VARIABLE, raising=False)
    return verify


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: str

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body, keep_blank_values=True).items()}


Answer = tuple[int, object] | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class StandIn:
    """A verification service on this machine that gives the answers it was told to, one after the other."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    service = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            service.asked.append(Asked(self.command, parts.path, parse_qs(parts.query), body))
            answer = service.answers.pop(0)
            if callable(answer):
                answer(self)
                return
            status, content = answer
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    service.url = f"http://127.0.0.1:{server.server_port}/server"
    yield service
    service.done.set()
    server.shutdown()
    server.server_close()


def pending(address: str) -> tuple[int, dict[str, Any]]:
    contract = {"match": None, "creationMatch": None, "runtimeMatch": None, "chainId": str(CHAIN), "address": address}
    return 200, {"isJobCompleted": False, "verificationId": JOB, "contract": contract}


def verdict(address: str, match: str | None = "exact_match", **error: object) -> tuple[int, dict[str, Any]]:
    contract = {
        "match": match,
        "creationMatch": match,
        "runtimeMatch": match,
        "chainId": str(CHAIN),
        "address": address,
    }
    return 200, {"isJobCompleted": True, "verificationId": JOB, "contract": contract, **error}


TAKEN = (202, {"verificationId": JOB})


def etherscan(result: object, status: str = "1") -> tuple[int, dict[str, object]]:
    return 200, {"status": status, "message": "OK" if status == "1" else "NOTOK", "result": result}


def sourcify_run(verify: Any, stand_in: StandIn, out: Path) -> int:
    return int(
        verify.main(["--chain-id", str(CHAIN), "--out", str(out), "--submit", "sourcify", "--url", stand_in.url])
    )


def etherscan_run(verify: Any, stand_in: StandIn, out: Path, *more: str) -> int:
    arguments = ["--chain-id", str(CHAIN), "--out", str(out), "--submit", "etherscan", "--url", stand_in.url]
    return int(verify.main([*arguments, *more]))


# ------------------------------------------------------------------------------------------------------- what is given


def test_without_a_service_the_files_are_written_and_nothing_is_sent(
    verify: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "Service", None)
    assert verify.main(["--chain-id", str(CHAIN), "--out", str(tmp_path)]) == 0

    folder = tmp_path / str(CHAIN)
    endings = ("standard-input.json", "constructor-arguments.txt", "sourcify.json", "etherscan.json")
    assert {path.name for path in folder.iterdir()} == {f"{name}.{end}" for name in CONTRACTS for end in endings}
    for name, address in CONTRACTS.items():
        artifact = artifacts.load(name)
        request = json.loads((folder / f"{name}.standard-input.json").read_text(encoding="utf-8"))
        assert request["sources"] == artifacts.standard_json_input()["sources"]
        sourcify = json.loads((folder / f"{name}.sourcify.json").read_text(encoding="utf-8"))
        assert sourcify == {
            "stdJsonInput": request,
            "compilerVersion": artifact.compiler,
            "contractIdentifier": f"{artifact.source_name}:{name}",
        }
        form = json.loads((folder / f"{name}.etherscan.json").read_text(encoding="utf-8"))
        assert json.loads(form["sourceCode"]) == request
        assert (form["contractaddress"], form["compilerversion"]) == (address, f"v{artifact.compiler}")
        assert "apikey" not in form
        assert address in capsys.readouterr().out or name == "CampaignFactory"


def test_the_constructor_s_arguments_complete_the_code_that_create2_hashed(verify: Any) -> None:
    campaign, factory = verify.submissions(None)
    assert campaign.constructor_arguments == b""
    assert factory.constructor_arguments == bytes.fromhex(ADDRESSES.implementation[2:]).rjust(32, b"\0")
    assert (campaign.address, factory.address) == (ADDRESSES.implementation, ADDRESSES.factory)


def test_constructor_arguments_that_lead_elsewhere_are_never_given_away(
    verify: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = addresses.DeploymentAddresses(implementation="0x" + "11" * 20, factory=ADDRESSES.factory)
    monkeypatch.setattr(addresses, "predicted", lambda: wrong)
    with pytest.raises(VerificationError, match="would be at"):
        verify.submissions(None)


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    """What the compiler makes of the very input that is submitted. Once: it takes half a minute."""
    import verify

    campaign, _ = verify.submissions(None)
    answer: dict[str, Any] = verify.compile_again(campaign.standard_input, campaign.compiler)
    return answer


def test_the_submitted_input_alone_compiles_to_exactly_the_exported_bytes(
    verify: Any, compiled: dict[str, Any]
) -> None:
    for name in ("Campaign", "CampaignFactory", "CourtArbiter", "DevToken", "MockCourt"):
        artifact = artifacts.load(name)
        output = compiled["contracts"][artifact.source_name][name]
        assert bytes.fromhex(output["evm"]["bytecode"]["object"]) == artifact.bytecode
        assert bytes.fromhex(output["evm"]["deployedBytecode"]["object"]) == artifact.deployed_bytecode
        assert output["metadata"] == artifact.metadata
    for submission in verify.submissions(None):
        verify.check(submission, compiled)


@pytest.mark.parametrize("part", ["bytecode", "deployedBytecode", "metadata"])
def test_an_input_that_compiles_to_something_else_is_noticed_before_it_is_written_or_sent(
    verify: Any,
    compiled: dict[str, Any],
    stand_in: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    part: str,
) -> None:
    spoilt = copy.deepcopy(compiled)
    output = spoilt["contracts"]["contracts/CampaignFactory.sol"]["CampaignFactory"]
    if part == "metadata":
        output["metadata"] += " "
    else:
        output["evm"][part]["object"] = "00" + output["evm"][part]["object"][2:]
    monkeypatch.setattr(verify, "compile_again", lambda *_: spoilt)

    arguments = ["--chain-id", str(CHAIN), "--out", str(tmp_path), "--check", "--submit", "sourcify"]
    assert verify.main([*arguments, "--url", stand_in.url]) == 3

    assert "CampaignFactory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert stand_in.asked == []


def test_a_compiler_that_is_missing_or_refuses_is_named(
    verify: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LlamafundError, match=r"solc-v0\.9\.99"):
        verify.compile_again({}, "0.9.99+commit.0")
    request = {"language": "Solidity", "sources": {"A.sol": {"content": "contrat A {}"}}, "settings": {}}
    with pytest.raises(LlamafundError, match="Expected"):
        verify.compile_again(request, artifacts.load("Campaign").compiler)
    broken = tmp_path / "solc-v1.0.0"
    broken.write_text("#!/bin/sh\necho no >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr(verify, "COMPILERS", tmp_path)
    with pytest.raises(LlamafundError, match="failed"):
        verify.compile_again({}, "1.0.0")


def test_a_real_deployment_s_record_adds_the_creating_transactions(verify: Any, devnet: Devnet, tmp_path: Path) -> None:
    path = addresses.record(devnet.deployment, tmp_path / "records")
    assert verify.main(["--deployment", str(path), "--out", str(tmp_path / "out")]) == 0
    for name, address in CONTRACTS.items():
        written = (tmp_path / "out" / "31337" / f"{name}.sourcify.json").read_text(encoding="utf-8")
        transaction = json.loads(written)["creationTransactionHash"]
        (sent,) = devnet.connection.transactions([transaction.removeprefix("0x")])
        assert sent is not None
        assert sent.recipient == addresses.CREATE2_DEPLOYER.lower()
        # What was deployed is the salt, the creation code and the constructor's arguments.
        (submission,) = (one for one in verify.submissions(devnet.deployment) if one.address == address)
        assert sent.data == addresses.SALT + artifacts.load(name).bytecode + submission.constructor_arguments


@pytest.mark.parametrize("name", ["other.json", "31337.txt", "missing/31337.json"])
def test_a_record_is_called_after_its_chain(
    verify: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    (tmp_path / "31337.txt").write_text("{}", encoding="utf-8")
    assert verify.main(["--deployment", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 2
    assert "not a record" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_record_of_other_contracts_or_another_chain_is_refused(verify: Any, tmp_path: Path, devnet: Devnet) -> None:
    path = addresses.record(devnet.deployment, tmp_path)
    out = ["--out", str(tmp_path / "out")]
    assert verify.main(["--deployment", str(path), "--chain-id", "1", *out]) == 2
    path.write_text(path.read_text(encoding="utf-8").replace(ADDRESSES.factory, "0x" + "12" * 20), encoding="utf-8")
    assert verify.main(["--deployment", str(path), *out]) == 3
    assert verify.main(out) == 2
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------------------ Sourcify


def test_a_stand_in_for_sourcify_gets_the_documented_request_and_is_asked_until_it_has_verified(
    verify: Any, stand_in: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for address in CONTRACTS.values():
        stand_in.answers += [TAKEN, pending(address), (429, {"customCode": "too_many_requests"}), verdict(address)]

    assert sourcify_run(verify, stand_in, tmp_path) == 0

    said = capsys.readouterr().out
    for name, address in CONTRACTS.items():
        assert f"Sourcify: {name} at {address} verified (creation code exact_match, runtime code exact_match)" in said
    assert [(asked.method, asked.path) for asked in stand_in.asked[:4]] == [
        ("POST", f"/server/v2/verify/{CHAIN}/{ADDRESSES.implementation}"),
        *[("GET", f"/server/v2/verify/{JOB}")] * 3,
    ]
    sent = json.loads(stand_in.asked[4].body)
    written = (tmp_path / str(CHAIN) / "CampaignFactory.sourcify.json").read_text(encoding="utf-8")
    assert sent == json.loads(written)
    assert sent["stdJsonInput"].keys() == {"language", "sources", "settings"}


def test_a_contract_that_a_stand_in_for_sourcify_knows_is_good_news(
    verify: Any, stand_in: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = (409, {"customCode": "already_verified", "message": "…is already verified…", "errorId": JOB})
    stand_in.answers += [known, known]
    assert sourcify_run(verify, stand_in, tmp_path) == 0
    assert capsys.readouterr().out.count("was verified before") == 2


NO_MATCH = {"customCode": "no_match", "message": "The onchain and recompiled bytecodes don't match.", "errorId": JOB}
OURS = ADDRESSES.implementation


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ([TAKEN, verdict(OURS, None, error=NO_MATCH)], 3, "recompiled bytecodes don't match"),
        ([TAKEN, verdict(OURS, "match")], 3, "calls the match match"),
        ([TAKEN, verdict(OURS, None)], 3, "calls the match None"),
        ([TAKEN, verdict("0x" + "11" * 20)], 3, "its verdict is about 0x1111"),
        ([TAKEN, (200, {"isJobCompleted": True})], 3, "no contract in its answer"),
        ([TAKEN, (404, {"customCode": "job_not_found", "message": "No such job"})], 1, "No such job"),
        ([(400, {"customCode": "unsupported_chain", "message": "Chain is not supported"})], 1, "not supported"),
        ([(500, {"customCode": "internal_error"})], 1, "HTTP status 500"),
        ([(202, {})], 1, "named no job"),
        ([(202, {"verificationId": "../../other"})], 1, "named no job"),
        ([(200, b"<html>maintenance</html>")], 4, "not its JSON"),
        ([(202, b"[]")], 4, "not its JSON"),
        ([(202, b"[" * 200_000)], 4, "not its JSON"),
        ([(202, b"\xff" * 100)], 4, "not its JSON"),
        ([(400, {"message": "\x1b[2Jall is well"})], 1, "\\u{1b}"),
    ],
)
def test_a_bad_answer_of_a_stand_in_for_sourcify_is_one_clear_line(
    verify: Any,
    stand_in: StandIn,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answers: list[Answer],
    code: int,
    words: str,
) -> None:
    stand_in.answers += answers
    assert sourcify_run(verify, stand_in, tmp_path) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.splitlines()[-1].startswith("Error: ")
    assert "Sourcify: " not in captured.out
    assert stand_in.answers == []


def test_a_verdict_of_a_stand_in_that_never_comes_ends_the_waiting(
    verify: Any, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "WAIT", 0.0)
    stand_in.answers += [TAKEN, pending(OURS)]
    assert sourcify_run(verify, stand_in, tmp_path) == 6
    assert JOB in capsys.readouterr().err


def test_a_stand_in_that_says_nothing_drips_floods_or_redirects_is_given_up(
    verify: Any, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "READ_TIMEOUT", 0.3)
    monkeypatch.setattr(verify, "ANSWER_TIMEOUT", 0.5)

    def head(handler: BaseHTTPRequestHandler, status: int = 202, **headers: str) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        stand_in.done.wait(30)

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        head(handler)
        while not stand_in.done.wait(0.02):
            handler.wfile.write(b" ")

    def flooding(handler: BaseHTTPRequestHandler) -> None:
        head(handler)
        while not stand_in.done.is_set():
            handler.wfile.write(b" " * 65_536)

    def redirecting(handler: BaseHTTPRequestHandler) -> None:
        head(handler, 307, Location="/server/elsewhere", **{"Content-Length": "0"})

    def hanging_up(handler: BaseHTTPRequestHandler) -> None:
        head(handler, **{"Content-Length": "1000"})
        handler.wfile.write(b"{")

    for answer, words in (
        (silent, "did not answer in time"),
        (dripping, "did not answer in time"),
        (flooding, "more than 1024 KiB"),
        (redirecting, "HTTP status 307"),
        (hanging_up, "cannot be reached"),
    ):
        stand_in.answers.append(answer)
        assert sourcify_run(verify, stand_in, tmp_path) == 4
        assert words in capsys.readouterr().err
    assert len(stand_in.asked) == 5


def test_nobody_there_is_one_clear_line(verify: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The port of the service that discards everything: nobody listens there.
    nobody = StandIn(url="http://127.0.0.1:9/server")
    assert sourcify_run(verify, nobody, tmp_path) == 4
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://sourcify.example/server", "ftp://127.0.0.1/", "127.0.0.1", "https://[", ""])
def test_an_address_without_encryption_is_refused(verify: Any, tmp_path: Path, url: str) -> None:
    assert sourcify_run(verify, StandIn(url=url), tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- Etherscan


def test_a_stand_in_for_etherscan_gets_the_documented_form_and_is_asked_until_it_has_verified(
    verify: Any, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ETHERSCAN_API_KEY", KEY)
    for _ in CONTRACTS:
        stand_in.answers += [
            etherscan(GUID),
            etherscan("Pending in queue", "0"),
            etherscan("Max calls per sec rate limit reached (3/sec)", "0"),
            etherscan("Pass - Verified"),
        ]

    assert etherscan_run(verify, stand_in, tmp_path) == 0

    captured = capsys.readouterr()
    for name, address in CONTRACTS.items():
        assert f"Etherscan: {name} at {address} verified\n" in captured.out
    first, question, *_ = stand_in.asked
    factory = stand_in.asked[4].form
    assert (first.method, first.path, first.query) == ("POST", "/server", {"chainid": [str(CHAIN)]})
    assert first.form["apikey"] == KEY
    assert (first.form["module"], first.form["action"]) == ("contract", "verifysourcecode")
    assert first.form["codeformat"] == "solidity-standard-json-input"
    assert first.form["constructorArguements"] == ""
    assert factory["contractname"] == "contracts/CampaignFactory.sol:CampaignFactory"
    assert factory["constructorArguements"] == "00" * 12 + ADDRESSES.implementation[2:].lower()
    assert json.loads(factory["sourceCode"])["language"] == "Solidity"
    assert question.method == "GET"
    assert {name: values[0] for name, values in question.query.items()} == {
        "chainid": str(CHAIN),
        "module": "contract",
        "action": "checkverifystatus",
        "guid": GUID,
        "apikey": KEY,
    }
    assert KEY not in captured.out + captured.err
    assert not any(KEY in path.read_text(encoding="utf-8") for path in (tmp_path / str(CHAIN)).iterdir())


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ([etherscan(GUID), etherscan("Fail - Unable to verify", "0")], 3, "Fail - Unable to verify"),
        ([etherscan(GUID), etherscan(f"No such key {KEY}", "0")], 1, "No such key …"),
        ([etherscan("Invalid API Key", "0")], 1, "Invalid API Key"),
        ([etherscan(f"Invalid API Key ({KEY})", "0")], 1, "Invalid API Key (…)"),
        ([etherscan("Unable to locate ContractCode at 0x1", "0")], 1, "Unable to locate ContractCode"),
        ([etherscan("../guid")], 1, "../guid"),
        ([etherscan(None)], 1, "HTTP status 200"),
        ([(500, {"status": "1", "result": GUID})], 1, "refused"),
        ([(403, b"<html>Forbidden</html>")], 4, "HTTP status 403"),
        ([etherscan(GUID), (200, b"")], 4, "not its JSON"),
        ([etherscan(GUID), etherscan({"verdict": "Pass - Verified"})], 1, "HTTP status 200"),
        ([etherscan(GUID), etherscan("Pass - Verified, or so")], 1, "or so"),
        ([(200, f"<p>{KEY}</p>".encode())], 4, "<p>…</p>"),
    ],
)
def test_a_bad_answer_of_a_stand_in_for_etherscan_is_one_clear_line_without_the_key(
    verify: Any,
    stand_in: StandIn,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answers: list[Answer],
    code: int,
    words: str,
) -> None:
    key_file = tmp_path / "key.txt"
    key_file.write_text(f"{KEY}\nand a remark\n", encoding="utf-8")
    stand_in.answers += answers
    assert etherscan_run(verify, stand_in, tmp_path / "out", "--api-key-file", str(key_file)) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert KEY not in captured.out + captured.err
    assert "Etherscan: " not in captured.out
    assert stand_in.answers == []


@pytest.mark.parametrize("words", ["Already Verified", "Contract source code already verified"])
def test_a_contract_that_a_stand_in_for_etherscan_knows_is_good_news(
    verify: Any, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("ETHERSCAN_API_KEY", KEY)
    stand_in.answers += [etherscan(words, "0"), etherscan(GUID), etherscan(words, "0")]
    assert etherscan_run(verify, stand_in, tmp_path) == 0
    assert len(stand_in.asked) == 3


def test_a_stand_in_that_does_not_answer_gives_the_key_to_no_message(
    verify: Any, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ETHERSCAN_API_KEY", KEY)

    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.close()

    stand_in.answers += [etherscan(GUID), hang_up]
    assert etherscan_run(verify, stand_in, tmp_path) == 4
    captured = capsys.readouterr()
    assert "cannot be reached" in captured.err
    assert KEY not in captured.out + captured.err


@pytest.mark.parametrize("content", [None, b"", b"\n", b"two words", b"\xff\xfe", b"x" * 201])
def test_without_a_key_nothing_is_written_or_sent(
    verify: Any, stand_in: StandIn, tmp_path: Path, content: bytes | None
) -> None:
    out, more = tmp_path / "out", ()
    if content is not None:
        (tmp_path / "key").write_bytes(content)
        more = ("--api-key-file", str(tmp_path / "key"))
    assert etherscan_run(verify, stand_in, out, *more) == 2
    assert etherscan_run(verify, stand_in, out, "--api-key-file", str(tmp_path / "missing")) == 2
    assert not out.exists()
    assert stand_in.asked == []
