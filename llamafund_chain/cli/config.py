"""`llamafund config`: what applies here, and where each value is from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamafund_chain.chain.node import shown_url
from llamafund_chain.cli.options import DEFAULT_RPC, configured_nodes, default_store, json_option
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.settings import KEYS, PROJECT_FILE, USER_VARIABLE, Settings, current

if TYPE_CHECKING:
    from pydantic import JsonValue

_BY_DEFAULT = {
    "finality": "finalized",
    "keystore": "the program's data folder, then those of Foundry, brownie and geth",
}
_SHOWN_KINDS = ("keystore", "env", "safe", "print")
_KEY = re.compile(r"[0-9a-fA-F]{64}")
_SECRETS = (
    "LLAMAFUND_CREDENTIALS",
    "LLAMAFUND_KUBO_TOKEN",
    "LLAMAFUND_PIN_TOKEN",
    "LLAMAFUND_WEBHOOK_TOKEN",
    "LLAMAFUND_NTFY_TOKEN",
)


@click.command(short_help="Show what applies here, and where each value is from.")
@json_option
def show(as_json: bool) -> None:
    """Show what applies in this directory, and where each value is from.

    A typed option comes first, then a variable of the environment, then the project's file (llamafund.toml here or in a
    directory above), then your own file. Parts of addresses that may be secret are left out.

    With --json: settings, each with value (null if there is none) and origin (default, environment, project, user), and
    place (the variable or the file); networks, by name, with rpc, chain_id and from_block.

    \b
    Example:
      llamafund config show
    """
    settings = current()
    listed = [(name, *_origin(name, settings)) for name in KEYS if name != "networks"]
    facts: dict[str, JsonValue] = {
        name: {"value": value, "origin": origin, "place": place} for name, value, origin, place in listed
    }
    networks: dict[str, JsonValue] = {
        name: {
            "rpc": [_shown(url) for url in network.rpc],
            "chain_id": network.chain_id,
            "from_block": network.from_block,
        }
        for name, network in settings.networks.items()
    }
    pairs = [(name, f"{value or '-'}  ({place or origin})") for name, value, origin, place in listed]
    for name, network in settings.networks.items():
        nodes = ", ".join(_shown(url) for url in network.rpc) or "no node"
        pairs.append((f"networks.{name}", f"chain {network.chain_id}, {nodes}  ({settings.user_file})"))
    pairs += [(name, "set, and not shown  (environment)") for name in _SECRETS if os.environ.get(name)]
    emit("config show", {"settings": facts, "networks": networks}, rows(pairs), as_json=as_json)


@click.command(short_help="Print where the configuration is read from.")
@json_option
def path(as_json: bool) -> None:
    """Print where the configuration is read from: your own file, and the project's.

    The environment variable LLAMAFUND_CONFIG names another file of your own; /dev/null stands for none. The project's
    file may only set the network's name and a store inside of the project, because others may have written it.

    With --json: user and project, each with path (null if there is none) and exists.

    \b
    Example:
      $EDITOR "$(llamafund config path --json | jq -r .user.path)"
    """
    settings = current()
    own, project = settings.user_file, settings.project_file
    facts: dict[str, JsonValue] = {"user": _file(own), "project": _file(project)}
    pairs = [
        ("yours", f"none, as {USER_VARIABLE} says" if own is None else _with_state(own)),
        ("project's", f"none: no {PROJECT_FILE} here or above" if project is None else str(project)),
    ]
    emit("config path", facts, rows(pairs), as_json=as_json)


def _origin(name: str, settings: Settings) -> tuple[str | None, str, str | None]:
    """A setting's value as it may be shown, whose it is, and where."""
    variable = f"LLAMAFUND_{name.upper()}"
    typed = os.environ.get(variable)
    if typed:
        return _safe(name, typed), "environment", variable
    setting = settings.values.get(name)
    if name == "rpc":
        network = _origin("network", settings)[0]
        nodes = configured_nodes(network, settings)
        shown = None if nodes is None else _safe(name, nodes)
        if setting is None or nodes != setting.text:
            by_network = network is not None and nodes != DEFAULT_RPC
            return (shown, "user", f"network {network}") if by_network else (shown, "default", None)
    if setting is not None:
        return _safe(name, setting.text), setting.source, str(setting.file)
    return str(default_store()) if name == "store" else _BY_DEFAULT.get(name), "default", None


def _safe(name: str, value: str) -> str:
    if name == "rpc":
        return " ".join(_shown(url) for url in value.split())
    if name == "signer" and value.startswith("rpc:"):
        return f"rpc:{_shown(value.removeprefix('rpc:'))}"
    if name == "store":
        return " ".join(_without_tokens(word) for word in value.split(" "))
    # Never what may be a key that stands in the wrong place.
    unknown = name == "signer" and value.partition(":")[0] not in _SHOWN_KINDS
    return "set, and not shown" if unknown or _KEY.search(value) else value


def _shown(url: str) -> str:
    return shown_url(url) if url.startswith(("http://", "https://")) else "something that is no address"


def _without_tokens(word: str) -> str:
    kind, found, rest = word.partition("http")
    return f"{kind}{_shown(found + rest)}" if found and rest.startswith(("://", "s://")) else word


def _file(found: Path | None) -> dict[str, JsonValue]:
    return {"path": None if found is None else str(found), "exists": found is not None and found.exists()}


def _with_state(found: Path) -> str:
    return str(found) if found.exists() else f"{found} (there is none yet)"
