"""Who signs: a key file, a variable, another program, or nobody here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import pytest
from eth_account import Account

from llamafund_chain.chain import abi
from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS
from llamafund_chain.chain.outside import qr_code
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Call

ETHER = 10**18
UNLOCKED = KNOWN_ACCOUNTS[1].address
OTHER = KNOWN_ACCOUNTS[2].address
MARKER = "5ec2e7ma2ke2"
BACKER_KEY = "0x" + f"{21:064x}"
BACKER = Account.from_key(BACKER_KEY).address


class Program:
    """A program that signs: answers JSON-RPC by `methods`, and remembers what it was asked."""

    def __init__(self, url: str, methods: Mapping[str, Callable[..., Any]]) -> None:
        self.url = url
        self.methods = dict(methods)
        self.asked: list[str] = []

    def answer(self, method: str, params: list[Any]) -> dict[str, Any]:
        self.asked.append(method)
        if method not in self.methods:
            return {"error": {"code": -32601, "message": f"the method {method} does not exist/is not available"}}
        result = self.methods[method](*params)
        return {"error": result} if isinstance(result, dict) and "code" in result else {"result": result}


@contextmanager
def program(**methods: Callable[..., Any]) -> Iterator[Program]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = running.answer(request["method"], request["params"])
            body = json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    running = Program(f"http://127.0.0.1:{server.server_port}/{MARKER}", methods)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()


def signed(transaction: Mapping[str, str], **changes: Any) -> str:
    fields = {name: value for name, value in transaction.items() if name != "from"}
    return "0x" + bytes(Account.sign_transaction({**fields, **changes}, BACKER_KEY).raw_transaction).hex()


@pytest.fixture
def run(llamafund, stage, monkeypatch):
    """Runs a command on the stage's chain for a signer."""
    monkeypatch.setenv("LLAMAFUND_RPC", stage.devnet.rpc_url)

    def with_signer(*words: object):
        ran = llamafund(*words)
        for secret in (BACKER_KEY, BACKER_KEY[2:], MARKER):
            assert secret not in ran.stdout + ran.stderr
        return ran

    return with_signer


def pledge(run, stage, *words: object):
    return run("pledge", stage.client.address, "1", *words)


def test_a_key_file_signs_by_its_name_in_either_option(llamafund, stage, keystore) -> None:
    stage.open()
    words = (
        "--rpc",
        stage.devnet.rpc_url,
        "--keystore",
        keystore,
        "--passphrase-file",
        keystore / "passphrase",
        "--yes",
    )
    assert llamafund("pledge", stage.client.address, "1", "--signer", "keystore:backer0", *words).code == 0
    assert llamafund("pledge", stage.client.address, "1", "--wallet", "backer0", *words).code == 0
    assert stage.client.pledge_of(BACKER) == 2 * ETHER


def test_a_variable_signs_and_is_gone_afterwards(run, stage, monkeypatch) -> None:
    stage.open()
    monkeypatch.setenv("MY_KEY", BACKER_KEY)
    assert pledge(run, stage, "--signer", "env:MY_KEY", "--yes").code == 0
    assert stage.client.pledge_of(BACKER) == ETHER
    assert "MY_KEY" not in os.environ


@pytest.mark.parametrize(
    ("signer", "words"),
    [
        ("env:UNSET", "UNSET is not set"),
        ("env:BROKEN", "not a private key"),
        (f"env:{BACKER_KEY}", "not the name of a variable"),
        (f"env:a{BACKER_KEY[3:]}", "not the name of a variable"),
        (BACKER_KEY, "something that it does not know"),
        ("ledger:0", "keystore:NAME, env:VARIABLE, rpc:URL, safe:ADDRESS or print"),
        ("print:x", "something that it does not know"),
        ("rpc", "something that it does not know"),
        ("rpc:ws://localhost", "must be an HTTP address"),
        ("rpc:http://[", "It is not a URL"),
        ("print", "Name the account with --from"),
    ],
)
def test_a_signer_that_cannot_be_used_is_one_line_without_a_secret(
    run, stage, monkeypatch, signer: str, words: str
) -> None:
    stage.open()
    monkeypatch.setenv("BROKEN", f"{MARKER}{BACKER_KEY}")
    pledge(run, stage, "--signer", signer, "--yes").refused(2, words)


def test_a_key_given_as_a_wallets_name_is_not_repeated(run, stage) -> None:
    stage.open()
    pledge(run, stage, "--wallet", BACKER_KEY, "--yes").refused(2, "A private key was given")


def test_two_signers_are_refused_and_a_typed_one_counts_before_the_environment(run, stage, monkeypatch) -> None:
    stage.open()
    monkeypatch.setenv("MY_KEY", BACKER_KEY)
    pledge(run, stage, "--signer", "env:MY_KEY", "--wallet", "x", "--yes").refused(2, "were both given")
    monkeypatch.setenv("LLAMAFUND_WALLET", "x")
    assert pledge(run, stage, "--signer", "env:MY_KEY", "--yes").code == 0
    monkeypatch.setenv("LLAMAFUND_SIGNER", "env:MY_KEY")
    pledge(run, stage, "--yes").refused(2, "were both given")


def test_a_key_of_another_account_than_named_signs_nothing(run, stage, monkeypatch) -> None:
    stage.open()
    monkeypatch.setenv("MY_KEY", BACKER_KEY)
    pledge(run, stage, "--signer", "env:MY_KEY", "--from", OTHER, "--yes").refused(2, f"The key is that of {BACKER}")


# -------------------------------------------------------------------------- rpc


def test_a_node_with_unlocked_accounts_signs(run, stage) -> None:
    stage.open()
    ran = pledge(run, stage, "--signer", f"rpc:{stage.devnet.rpc_url}", "--from", UNLOCKED, "--yes", "--json")
    assert ran.code == 0, ran.stderr
    assert ran.json["payer"] == UNLOCKED
    assert stage.client.pledge_of(UNLOCKED) == ETHER


def test_a_node_with_several_accounts_asks_which(run, stage) -> None:
    stage.open()
    ran = pledge(run, stage, "--signer", f"rpc:{stage.devnet.rpc_url}", "--yes")
    ran.refused(2, "has 10 accounts", UNLOCKED, "--from")
    stranger = "0x" + "11" * 20
    ran = pledge(run, stage, "--signer", f"rpc:{stage.devnet.rpc_url}", "--from", stranger, "--yes")
    ran.refused(2, f"has no account {stranger}")


def test_clef_signs_by_its_own_methods(run, stage) -> None:
    stage.open()
    clef = {
        "account_list": lambda: [BACKER.lower()],
        "account_signTransaction": lambda tx: {"raw": signed(tx), "tx": {}},
    }
    with program(**clef) as signer:
        assert pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").code == 0
    assert stage.client.pledge_of(BACKER) == ETHER


def test_a_program_that_only_sends_sends_once_and_its_transaction_is_awaited(run, stage) -> None:
    stage.open()
    request = stage.devnet.connection.request
    frame = {
        "eth_accounts": list,
        "eth_requestAccounts": lambda: [BACKER],
        "eth_chainId": lambda: "0x7a69",
        "eth_sendTransaction": lambda tx: request("eth_sendRawTransaction", signed(tx)),
    }
    with program(**frame) as signer:
        ran = pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes", "--json")
        assert ran.code == 0, ran.stderr
        assert signer.asked.count("eth_sendTransaction") == 1
    assert stage.client.pledge_of(BACKER) == ETHER
    assert request("eth_getTransactionByHash", f"0x{ran.json['transaction']}")["from"] == BACKER.lower()


@pytest.mark.parametrize("answer", ["dropped", None, "0x", "0x" + "00" * 31, 5])
def test_a_program_that_breaks_off_while_sending_leaves_no_doubt_unsaid(run, stage, answer: Any) -> None:
    stage.open()

    def send(_: Any) -> Any:
        if answer == "dropped":
            raise ConnectionResetError
        return answer

    here = {"eth_accounts": lambda: [BACKER], "eth_chainId": lambda: "0x7a69"}
    with program(**here, eth_sendTransaction=send) as signer:
        ran = pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes")
        ran.refused(4, "It may or may not have sent it", f"number 0 of {BACKER}")
        assert signer.asked.count("eth_sendTransaction") == 1


@pytest.mark.parametrize(
    "error",
    [
        {"code": 4001, "message": "User rejected the request."},
        {"code": -32000, "message": "Request denied"},
    ],
)
def test_declining_at_the_signer_is_said_and_sends_nothing(run, stage, error: dict[str, Any]) -> None:
    stage.open()
    with program(eth_accounts=lambda: [BACKER], eth_signTransaction=lambda _: error) as signer:
        ran = pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes")
    ran.refused(1, "did not sign", error["message"], "Nothing was sent")
    assert stage.client.pledge_of(BACKER) == 0


def test_a_signers_other_error_is_told(run, stage) -> None:
    stage.open()
    error = {"code": -32000, "message": "authentication needed: password or unlock"}
    with program(eth_accounts=lambda: [BACKER], eth_signTransaction=lambda _: error) as signer:
        pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").refused(1, "password or unlock")


def test_an_unknown_account_is_not_taken_for_an_unknown_method(run, stage) -> None:
    stage.open()
    error = {"code": -32000, "message": "sender account not found"}
    with program(eth_accounts=lambda: [BACKER], eth_signTransaction=lambda _: error) as signer:
        pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").refused(1, "sender account not found")
        assert "eth_sendTransaction" not in signer.asked


def test_a_program_that_signs_no_transactions_is_named(run, stage) -> None:
    stage.open()
    with program(eth_accounts=lambda: [BACKER], eth_chainId=lambda: "0x7a69") as signer:
        pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").refused(2, "signs no transactions")


@pytest.mark.parametrize("chain", ["0x1", "0x", "x", None, 31337, "absent"])
def test_a_program_on_another_chain_sends_nothing(run, stage, chain: Any) -> None:
    stage.open()
    methods: dict[str, Callable[..., Any]] = {"eth_accounts": lambda: [BACKER], "eth_sendTransaction": lambda _: "0x"}
    if chain != "absent":
        methods["eth_chainId"] = lambda: chain
    with program(**methods) as signer:
        pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").refused(2, "would not send on chain 31337")
        assert "eth_sendTransaction" not in signer.asked


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("to", {"to": OTHER}),
        ("value", {"value": 2 * ETHER}),
        ("data", {"data": "0x"}),
        ("nonce", {"nonce": 1}),
        ("chain_id", {"chainId": 1}),
    ],
)
def test_a_signer_that_signs_something_else_is_found_out_before_anything_is_sent(
    run, stage, name: str, change: dict[str, Any]
) -> None:
    stage.open()
    with program(eth_accounts=lambda: [BACKER], eth_signTransaction=lambda tx: signed(tx, **change)) as signer:
        ran = pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes")
    ran.refused(3, "signed something else", f"differs in {name}", "Nothing was sent")
    assert stage.devnet.connection.nonce(BACKER, "pending") == 0


def test_a_signature_of_another_key_is_found_out(run, stage) -> None:
    stage.open()
    with program(eth_accounts=lambda: [OTHER], eth_signTransaction=lambda tx: signed(tx)) as signer:
        pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").refused(3, "differs in sender")


@pytest.mark.parametrize(
    "answer", [None, {}, [], "0x", "0x02", "0xc0", "0x02c0", "0x03c0", "zz", {"raw": 5}, "0x" + "ff" * 40]
)
def test_nonsense_instead_of_a_signed_transaction_is_one_line(run, stage, answer: Any) -> None:
    stage.open()
    with program(eth_accounts=lambda: [BACKER], eth_signTransaction=lambda _: answer) as signer:
        pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").refused(3, "It is not a transaction")


def test_a_signer_may_let_its_owner_raise_the_fees(run, stage) -> None:
    stage.open()
    more = {"gas": 500_000, "maxFeePerGas": 10**11}
    with program(eth_accounts=lambda: [BACKER], eth_signTransaction=lambda tx: signed(tx, **more)) as signer:
        assert pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").code == 0


def test_a_signer_that_is_not_there_is_named_without_its_path(run, stage, no_node) -> None:
    stage.open()
    ran = pledge(run, stage, "--signer", f"rpc:{no_node}/{MARKER}", "--yes")
    ran.refused(4, f"The signer at {no_node} did not answer eth_accounts. Connection refused.", "after rpc:")
    assert "--rpc" not in ran.stderr


def test_what_is_no_signer_is_named_as_one(run, stage) -> None:
    stage.open()
    with program() as signer:
        signer.answer = lambda *_: {}  # type: ignore[method-assign]
        ran = pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes")
    ran.refused(4, "did not answer eth_accounts", "something that is not JSON-RPC", "after rpc:")
    assert "--rpc" not in ran.stderr


@pytest.mark.parametrize("answer", ["x", [1], ["0x12"], {"a": 1}])
def test_accounts_that_make_no_sense_are_one_line(run, stage, answer: Any) -> None:
    stage.open()
    with program(eth_accounts=lambda: answer) as signer:
        pledge(run, stage, "--signer", f"rpc:{signer.url}", "--yes").refused(4, "makes no sense")


# ------------------------------------------------------------------------ print


def printed(run, stage, *words: object):
    ran = run(*words, "--signer", "print", "--from", BACKER, "--json")
    assert ran.code == 0, ran.stderr
    assert stage.devnet.connection.nonce(BACKER, "pending") == 0
    return ran.json


def test_print_gives_the_transaction_that_would_be_sent_and_sends_nothing(run, stage) -> None:
    stage.open()
    document = printed(run, stage, "pledge", stage.client.address, "1")
    unsigned = document["unsigned"]
    assert document["command"] == "pledge"
    assert unsigned["from"] == BACKER
    assert unsigned["to"] == stage.client.address
    assert int(unsigned["value"], 16) == ETHER
    assert int(unsigned["chainId"], 16) == 31337
    raw = Account.sign_transaction({name: value for name, value in unsigned.items() if name != "from"}, BACKER_KEY)
    stage.devnet.connection.request("eth_sendRawTransaction", "0x" + bytes(raw.raw_transaction).hex())
    stage.devnet.finalize()
    assert stage.client.pledge_of(BACKER) == ETHER


def test_the_link_calls_the_same_function_with_the_same_arguments(run, stage) -> None:
    stage.open()
    document = printed(run, stage, "pledge", stage.client.address, "1")
    head, _, query = document["link"].partition("?")
    assert head == f"ethereum:{stage.client.address}@31337/pledgeCoin"
    assert parse_qsl(query) == [("address", BACKER), ("value", str(ETHER))]
    data = abi.contract("Campaign").encode("pledgeCoin", BACKER)
    assert document["unsigned"]["data"] == f"0x{data.hex()}"


def test_arguments_that_no_link_can_express_have_none(run, stage, tmp_path) -> None:
    stage.open()
    document = printed(run, stage, "pledge", stage.client.address, "1")
    factory = abi.contract("CampaignFactory").encode("createCampaign", stage.client.terms.to_abi(), bytes(32))
    from llamafund_chain.chain.outside import link_of

    assert link_of({**document["unsigned"], "data": f"0x{factory.hex()}"}) is None
    assert link_of({**document["unsigned"], "data": "0x12345678"}) is None
    assert link_of({**document["unsigned"], "data": "0x"}) == f"ethereum:{stage.client.address}@31337?value={ETHER}"


def test_print_never_asks_for_what_it_does_not_do(run, stage, monkeypatch) -> None:
    stage.open()
    monkeypatch.setattr("click.confirm", lambda *_, **__: pytest.fail("it asked"))
    ran = pledge(run, stage, "--signer", "print", "--from", BACKER)
    assert ran.code == 0
    assert "Not sent" in ran.stderr
    assert f"ethereum:{stage.client.address}@31337/pledgeCoin?" in ran.stdout


def test_print_still_refuses_what_would_revert(run, stage) -> None:
    stage.open()
    run("refund", stage.client.address, "--signer", "print", "--from", BACKER).refused(5)


def test_a_token_is_approved_first_and_pledged_when_that_was_sent(run, stage, hand_made) -> None:
    token = stage.devnet.deploy_token()
    stage.open(asset=token)
    stage.devnet.mint_token(token, BACKER, 5 * ETHER)
    approval = printed(run, stage, "pledge", stage.client.address, "1")["unsigned"]
    assert approval["to"] == token
    assert approval["data"] == f"0x{abi.contract('DevToken').encode('approve', stage.client.address, ETHER).hex()}"
    Sender(stage.devnet.connection).send(stage.backers[0], Call(token, bytes.fromhex(approval["data"][2:])))
    ran = run("pledge", stage.client.address, "1", "--signer", "print", "--from", BACKER, "--json")
    assert ran.json["unsigned"]["to"] == stage.client.address


@pytest.mark.parametrize(
    ("key", "form", "means"),
    [
        (BACKER_KEY, lambda usual: usual, "permit"),
        (BACKER_KEY, lambda usual: usual[:64] + bytes([usual[64] - 27]), "permit"),
        (BACKER_KEY, lambda usual: usual[:64] + bytes([usual[64] + 10]), "permit"),
        (KNOWN_ACCOUNTS[2].key, lambda usual: usual, "approval"),
        (BACKER_KEY, lambda usual: usual + bytes(65), "approval"),
    ],
)
def test_a_permit_of_another_program_is_used_if_it_is_the_backers(
    run, stage, key: str, form: Callable[[bytes], bytes], means: str
) -> None:
    def sign(_: str, document: dict[str, Any]) -> str:
        message = {name: int(value) if name == "value" else value for name, value in document["message"].items()}
        made = Account.sign_typed_data(key, full_message={**document, "message": message})
        return "0x" + form(bytes(made.signature)).hex()

    token = stage.devnet.deploy_token("Demo Dollar", "DEMO", 6)
    stage.devnet.mint_token(token, BACKER, 5_000_000)
    client = stage.open(asset=token, goal=10**6, cap=10**7)
    here = {"eth_accounts": lambda: [BACKER], "eth_signTransaction": signed, "eth_signTypedData_v4": sign}
    with program(**here) as signer:
        ran = run("pledge", client.address, "1.5", "--signer", f"rpc:{signer.url}", "--yes", "--json")
    assert ran.code == 0, ran.stderr
    assert ran.json["means"] == means
    assert client.pledge_of(BACKER) == 1_500_000


def test_a_program_that_signs_no_typed_data_pledges_a_token_with_an_approval(run, stage) -> None:
    token = stage.devnet.deploy_token("Demo Dollar", "DEMO", 6)
    stage.devnet.mint_token(token, BACKER, 5_000_000)
    client = stage.open(asset=token, goal=10**6, cap=10**7)
    with program(eth_accounts=lambda: [BACKER], eth_signTransaction=signed) as signer:
        ran = run("pledge", client.address, "1.5", "--signer", f"rpc:{signer.url}", "--yes", "--json")
    assert ran.code == 0, ran.stderr
    assert ran.json["means"] == "approval"


def test_what_is_more_than_one_transaction_cannot_be_printed(run, stage) -> None:
    stage.open()
    run("watch", stage.client.address, "--once", "--signer", "print", "--from", BACKER).refused(2, "--signer print")


# ------------------------------------------------------------------------- safe


def test_a_safe_gets_the_file_that_its_app_imports(run, stage) -> None:
    stage.open()
    safe = "0x" + "11" * 20
    stage.devnet.connection.request("anvil_setCode", safe, "0x00")
    stage.devnet.fund(safe, ETHER)
    ran = run("pledge", stage.client.address, "1", "--signer", f"safe:{safe}")
    assert ran.code == 0, ran.stderr
    batch = json.loads(ran.stdout)
    assert batch["chainId"] == "31337"
    assert batch["meta"]["createdFromSafeAddress"] == safe
    (call,) = batch["transactions"]
    assert (call["to"], call["value"]) == (stage.client.address, str(ETHER))
    assert call["data"] == f"0x{abi.contract('Campaign').encode('pledgeCoin', safe).hex()}"
    assert "Transaction Builder" in ran.stderr
    assert stage.client.pledge_of(safe) == 0
    asked = run("pledge", stage.client.address, "1", "--signer", f"safe:{safe}", "--json").json
    assert asked["batch"]["transactions"] == [call]
    assert asked["unsigned"]["from"] == safe


@pytest.mark.parametrize(
    ("signer", "words"),
    [
        (f"safe:{BACKER}", f"There is no Safe at {BACKER}"),
        ("safe:0x12", "is not an address"),
        (f"safe:{BACKER_KEY}", "is not an address"),
        ("safe:", "safe:ADDRESS"),
    ],
)
def test_what_is_no_safe_is_refused(run, stage, signer: str, words: str) -> None:
    stage.open()
    pledge(run, stage, "--signer", signer).refused(2, words)


def test_a_safe_is_not_another_account(run, stage) -> None:
    stage.open()
    pledge(run, stage, "--signer", f"safe:{BACKER}", "--from", OTHER).refused(2, f"The Safe is {BACKER}")


def test_the_qr_code_says_the_link() -> None:
    """Read back from the blocks by the rules of the code: its three finder patterns stand where they belong."""
    lines = qr_code("ethereum:0x1@1")
    width = len(lines[0])
    assert all(len(line) == width for line in lines)
    rows = [[block in upper for block in line] for line in lines for upper in (" ▄", " ▀")]
    finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]
    size = width - 8
    for top, left in ((4, 4), (4, 4 + size - 7), (4 + size - 7, 4)):
        seen = ["".join("01"[rows[top + y][left + x]] for x in range(7)) for y in range(7)]
        assert seen == finder
    assert not any(any(row[:4]) or any(row[-4:]) for row in rows)


def test_on_a_terminal_the_link_is_a_qr_code_too(run, stage, monkeypatch) -> None:
    from llamafund_chain.cli import signer

    class Terminal:
        isatty = staticmethod(lambda: True)

        def __getattr__(self, name: str) -> Any:
            return getattr(sys.__stdout__, name)

    stage.open()
    with monkeypatch.context() as patch:
        patch.setattr(signer, "sys", type("sys", (), {"stdout": Terminal()}))
        ran = pledge(run, stage, "--signer", "print", "--from", BACKER)
    link = next(line for line in ran.stdout.splitlines() if line.startswith("ethereum:"))
    assert "\n".join(qr_code(link)) in ran.stdout


def test_a_passphrase_is_asked_for_only_after_what_it_signs_was_shown_and_agreed_to(
    llamafund, stage, keystore, monkeypatch
) -> None:
    """Typing is replaced: a test has no terminal."""
    asked: list[str] = []

    def typed(passphrase_file: object, *, purpose: str) -> str:
        assert passphrase_file is None
        asked.append(purpose)
        print(f"{purpose}:", file=sys.stderr)
        return (keystore / "passphrase").read_text().strip()

    monkeypatch.setattr("llamafund_chain.cli.signer.check_passphrase", lambda _: None)
    monkeypatch.setattr("llamafund_chain.cli.signer.read_passphrase", typed)
    client = stage.open()
    client.pledge(stage.backers[0], 10**18)
    words = ("unpledge", client.address, "0.5", "--rpc", stage.devnet.rpc_url)
    wallet = ("--wallet", "backer0", "--keystore", keystore)

    declined = llamafund(*words, *wallet)
    assert (declined.code, asked) == (2, [])

    done = llamafund(*words, *wallet, "--yes")
    assert done.code == 0, done.stderr
    assert asked == ["Passphrase of backer0"]
    assert done.stderr.index(client.address) < done.stderr.index("Passphrase of backer0:"), done.stderr
    assert client.pledge_of(stage.backers[0].address) == 5 * 10**17
