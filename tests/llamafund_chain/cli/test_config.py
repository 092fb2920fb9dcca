"""Configuration: which of several places decides, and what a project that somebody else wrote may not decide."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from llamafund_chain import cli
from llamafund_chain.deployment import addresses

TOKEN = "0123456789abcdef0123456789abcdef"
SEPOLIA = '[networks.sepolia]\nrpc = "http://127.0.0.1:1"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, inside of a project."""
    inside = tmp_path / "project" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    return inside


@pytest.fixture
def project(here: Path):
    """Writes the project's file."""

    def write(text: str, mode: int = 0o644) -> Path:
        file = here.parent / "llamafund.toml"
        file.write_text(text)
        file.chmod(mode)
        return file

    return write


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes the user's file."""

    def write(text: str, mode: int = 0o600) -> Path:
        file = tmp_path / "own.toml"
        file.write_text(text)
        file.chmod(mode)
        monkeypatch.setenv("LLAMAFUND_CONFIG", str(file))
        return file

    return write


def shown(llamafund, name: str) -> tuple[str | None, str]:
    found = llamafund("config", "show", "--json").json["settings"][name]
    return found["value"], found["origin"]


def test_the_environment_wins_over_the_project_the_project_over_the_user_and_the_user_over_the_default(
    llamafund, here: Path, project, own, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(llamafund, "network") == (None, "default")
    own('network = "base"\n')
    assert shown(llamafund, "network") == ("base", "user")
    project('network = "sepolia"\n')
    assert shown(llamafund, "network") == ("sepolia", "project")
    monkeypatch.setenv("LLAMAFUND_NETWORK", "scroll")
    assert shown(llamafund, "network") == ("scroll", "environment")


def test_a_typed_option_wins_over_a_variable_and_a_variable_over_the_users_file(
    llamafund, here: Path, own, devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    own('rpc = "http://127.0.0.1:1"\n')
    llamafund("campaign", "list").refused(4, "http://127.0.0.1:1")
    monkeypatch.setenv("LLAMAFUND_RPC", devnet.rpc_url)
    assert llamafund("campaign", "list").code == 0
    llamafund("campaign", "list", "--rpc", "http://127.0.0.1:2").refused(4, "http://127.0.0.1:2")


def test_an_option_of_any_command_can_be_set_in_the_users_file(llamafund, here: Path, own, keystore: Path) -> None:
    assert "researcher" not in llamafund("wallet", "list").stdout
    own(f'keystore = "{keystore}"\n')
    assert "researcher" in llamafund("wallet", "list").stdout


def test_paths_in_a_file_start_where_the_file_is(llamafund, here: Path, own, keystore: Path) -> None:
    file = own('keystore = "keys"\n')
    (file.parent / "keys").symlink_to(keystore)
    assert "researcher" in llamafund("wallet", "list").stdout


def test_a_typed_wallet_wins_over_a_signer_of_the_users_file(llamafund, here: Path, own, keystore: Path) -> None:
    own(f'signer = "rpc:http://127.0.0.1:1"\nkeystore = "{keystore}"\n')
    address = "0x" + "11" * 20
    ran = llamafund("refund", address, "--wallet", "nobody", "--passphrase-file", keystore / "passphrase")
    ran.refused(2, "'nobody'")


def test_a_node_of_another_chain_than_the_network_is_refused_and_nobody_is_accused(
    llamafund, here: Path, devnet
) -> None:
    for command in (("campaign", "list"), ("campaign", "show", "0x" + "11" * 20), ("audit", "0x" + "11" * 20)):
        ran = llamafund(*command, "--network", "base", "--rpc", devnet.rpc_url)
        ran.refused(2, "is of Devnet (chain 31337)", "The network base is chain 8453", "--network")
        assert "genuine" not in ran.stderr


def test_no_command_connects_without_checking_the_chain() -> None:
    unchecked = []
    for path in sorted(Path(cli.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "connect":
                unchecked += [path.name] if "expected_chain()" not in ast.unparse(node) else []
    assert unchecked == []


def test_a_network_takes_its_node_and_block_from_the_users_file(llamafund, here: Path, own, devnet) -> None:
    own(f'[networks.home]\nchain_id = 31337\nrpc = "{devnet.rpc_url}"\nfrom_block = 1\n')
    assert llamafund("campaign", "list", "--network", "home").code == 0
    own(f'[networks.home]\nchain_id = 31338\nrpc = "{devnet.rpc_url}"\n')
    llamafund("campaign", "list", "--network", "home").refused(2, "The network home is chain 31338")


@pytest.mark.parametrize(
    ("text", "rpc", "origin"),
    [
        ("", "http://127.0.0.1:8545", "default"),
        ('network = "devnet"\n', "http://127.0.0.1:8545", "default"),
        ('network = "base"\n', None, "user"),
        ('network = "base"\n[networks.base]\nrpc = "http://127.0.0.1:1"\n', "http://127.0.0.1:1", "user"),
        ('rpc = "http://127.0.0.1:2"\n', "http://127.0.0.1:2", "user"),
        ('network = "base"\nrpc = "http://127.0.0.1:2"\n', "http://127.0.0.1:2", "user"),
    ],
)
def test_the_node_is_shown_that_would_be_asked(llamafund, here: Path, own, text: str, rpc: str, origin: str) -> None:
    own(text)
    assert shown(llamafund, "rpc") == (rpc, origin)


def test_a_network_without_a_node_says_what_to_write_where(llamafund, here: Path, own) -> None:
    file = own("")
    llamafund("campaign", "list", "--network", "sepolia").refused(2, str(file), "[networks.sepolia]", "--rpc")


def test_a_typed_node_is_asked_whatever_network_is_configured(llamafund, here: Path, own, devnet) -> None:
    own(f'network = "sepolia"\n{SEPOLIA}')
    llamafund("campaign", "list").refused(4, "http://127.0.0.1:1")
    assert llamafund("campaign", "list", "--rpc", devnet.rpc_url).code == 0


def test_a_project_chooses_the_network_but_the_node_is_the_users(llamafund, here: Path, own, project) -> None:
    own(SEPOLIA)
    file = project('network = "sepolia"\n')
    ran = llamafund("campaign", "list")
    ran.refused(4, "http://127.0.0.1:1")
    assert f"Network sepolia, as {file} says." in ran.stderr


@pytest.mark.parametrize(
    "line",
    [
        'rpc = "https://evil.example"',
        '[networks.sepolia]\nrpc = "https://evil.example"',
        'signer = "rpc:https://evil.example"',
        'wallet = "ada"',
        'keystore = "keys"',
        'passphrase_file = "word"',
        'finality = "latest"',
        'from = "0x1111111111111111111111111111111111111111"',
    ],
)
def test_a_hostile_project_chooses_no_node_no_key_and_no_finality(llamafund, here: Path, project, line: str) -> None:
    file = project(f"{line}\n")
    key = line.strip("[").partition(".")[0].partition(" ")[0]
    llamafund("campaign", "list").refused(2, f"{file}: a project's file may not set {key}", "your own file")


@pytest.mark.parametrize(
    "store",
    [
        "/tmp/elsewhere",
        "../elsewhere",
        "~/store",
        "gateway:https://evil.example",
        "kubo+insecure:http://evil.example",
        "link",
    ],
)
def test_a_hostile_project_names_no_store_outside_of_itself(llamafund, here: Path, project, store: str) -> None:
    (here.parent / "link").symlink_to("/")
    file = project(f'store = "{store}"\n')
    llamafund("store", "pins").refused(2, f"{file}: store is", "inside of the project")


def test_a_project_keeps_its_store_inside(llamafund, here: Path, project) -> None:
    project('store = "evidence"\n')
    ran = llamafund("store", "pins", "--json")
    assert ran.code == 0, ran.stderr
    assert f"Store {here.parent / 'evidence'}, as" in ran.stderr


def test_a_file_that_every_user_can_change_is_not_a_project(llamafund, here: Path, project) -> None:
    file = project('rpc = "https://evil.example"\n', mode=0o666)
    ran = llamafund("config", "show", "--json")
    assert ran.json["settings"]["rpc"]["origin"] == "default"
    assert f"{file} was not read, because every user can change it" in ran.stderr


def test_a_link_is_not_a_project_and_accuses_nobody(llamafund, here: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.toml").write_text('network = "sepolia"')
    file = here.parent / "llamafund.toml"
    file.symlink_to(tmp_path / "elsewhere.toml")
    ran = llamafund("config", "show", "--json")
    assert ran.json["settings"]["network"]["origin"] == "default"
    assert f"{file} was not read, because it is a link" in ran.stderr


def test_a_store_of_the_users_file_may_be_reached_without_encryption(llamafund, here: Path, own) -> None:
    own('store = "kubo+insecure:http://10.9.9.9:5001"')
    assert shown(llamafund, "store")[0] == "kubo+insecure:http://10.9.9.9:5001"


def test_a_file_of_another_user_is_not_a_project(
    llamafund, here: Path, project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.lstat

    def of_another(path: Path) -> os.stat_result:
        status = real(path)
        return os.stat_result((*status[:4], os.getuid() + 1, *status[5:])) if path == file else status

    file = project('network = "sepolia"\n')
    monkeypatch.setattr(Path, "lstat", of_another)
    ran = llamafund("config", "show", "--json")
    assert ran.json["settings"]["network"]["origin"] == "default"
    assert "belongs to another user" in ran.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('netwrk = "base"', ("netwrk is not known here", "Did you mean network?")),
        ('finality = "finalised"', ("finality cannot be that", "finalized, safe, latest")),
        ('network = "bse"', ("There is no network 'bse'", "Did you mean 'base'?")),
        ("rpc = 5", ("rpc cannot be that", "in quotes")),
        ('networks = "base"', ("networks cannot be that", "[networks.NAME]")),
        ('[networks.base]\nprc = "x"', ("networks.base.prc is not known here", "Did you mean rpc?")),
        ("[networks.mine]", ("networks.mine has no chain_id", "chain_id = NUMBER")),
        ("[networks.base]\nchain_id = 1", ("networks.base has chain_id 1", "chain 8453")),
        ('[networks."a b"]', ("cannot be typed",)),
        ("network = base", ("is not TOML", "line 1", 'key = "value"')),
        ("x = " + "[" * 60_000, ("is not TOML",)),
        ("#" * 70_000, ("longer than 64 KiB",)),
    ],
)
def test_a_mistake_in_a_file_is_explained_with_the_file(
    llamafund, here, own, text: str, words: tuple[str, ...]
) -> None:
    file = own(text)
    llamafund("config", "show").refused(2, str(file), *words)


def test_a_file_that_is_named_but_not_there_is_missed(llamafund, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMAFUND_CONFIG", str(here / "none.toml"))
    llamafund("config", "show").refused(2, "There is no file", "none.toml")
    monkeypatch.setenv("LLAMAFUND_CONFIG", os.devnull)
    assert llamafund("config", "show").code == 0


def test_help_needs_no_configuration(llamafund, here: Path, own) -> None:
    own("nonsense")
    assert llamafund("campaign", "list", "--help").code == 0
    assert llamafund("--help").code == 0


def test_a_nodes_address_with_a_token_must_be_in_a_file_that_nobody_else_reads(llamafund, here: Path, own) -> None:
    text = f'[networks.base]\nrpc = "https://node.example/v3/{TOKEN}"\n'
    file = own(text, mode=0o644)
    llamafund("config", "show").refused(2, "can be read by other users", f"chmod 600 {file}")
    own(text)
    ran = llamafund("config", "show")
    assert "https://node.example" in ran.stdout
    assert TOKEN not in ran.stdout + ran.stderr


def test_a_token_is_shown_by_no_variable(llamafund, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMAFUND_RPC", f"https://user:{TOKEN}@node.example/{TOKEN}")
    monkeypatch.setenv("LLAMAFUND_SIGNER", TOKEN)
    monkeypatch.setenv("LLAMAFUND_STORE", f"gateway:https://gate.example/{TOKEN}")
    monkeypatch.setenv("LLAMAFUND_PIN_TOKEN", TOKEN)
    for form in ((), ("--json",)):
        ran = llamafund("config", "show", *form)
        assert ran.code == 0
        assert TOKEN not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("WALLET", "{}"), ("SIGNER", "{}"), ("SIGNER", "env:{}"), ("SIGNER", "keystore:0x{}"), ("KEYSTORE", "/keys/{}")],
)
def test_a_key_in_the_wrong_place_is_not_shown(llamafund, here: Path, monkeypatch, name: str, value: str) -> None:
    key = "4c" * 32
    monkeypatch.setenv(f"LLAMAFUND_{name}", value.format(key))
    ran = llamafund("config", "show")
    assert ran.code == 0
    assert key not in ran.stdout + ran.stderr
    assert "set, and not shown" in ran.stdout


def test_a_token_of_a_file_is_shown_by_no_traceback(
    llamafund, here: Path, own, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(f'rpc = "https://node.example/{TOKEN}"\n')

    def break_down(*_: object) -> None:
        raise RuntimeError(f"the node at https://node.example/{TOKEN} and {TOKEN}")

    monkeypatch.setattr("llamafund_chain.cli.shared.connect", break_down)
    ran = llamafund("-v", "campaign", "list")
    assert ran.code == 1
    assert "RuntimeError" in ran.stderr
    assert TOKEN not in ran.stderr


def test_the_path_of_each_file_is_told(llamafund, here: Path, own, project) -> None:
    mine, theirs = own(""), project("")
    found = llamafund("config", "path", "--json").json
    assert found["user"] == {"path": str(mine), "exists": True}
    assert found["project"] == {"path": str(theirs), "exists": True}
    assert str(mine) in llamafund("config", "path").stdout


def test_the_users_record_of_a_deployment_says_from_which_block_to_search(
    llamafund, devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    factory = devnet.deployment.factory
    before = llamafund("verify-deployment", factory, "--rpc", devnet.rpc_url)
    assert "there is no record of chain 31337" in before.stdout
    addresses.record(devnet.deployment, tmp_path / "llamafund" / "deployments")
    after = llamafund("verify-deployment", factory, "--rpc", devnet.rpc_url)
    assert f"since block {devnet.deployment.block}" in after.stdout


def test_a_users_record_that_is_wrong_accuses_nobody(
    llamafund, devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "llamafund" / "deployments"
    folder.mkdir(parents=True)
    (folder / "31337.json").write_text("{}")
    ran = llamafund("campaign", "list", "--rpc", devnet.rpc_url)
    ran.refused(2, "31337.json is not a record of a deployment", "remove it")
