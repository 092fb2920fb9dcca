"""Who signs: the options that choose a signer, and what becomes of a transaction that nobody signs here."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from llamafund_chain.cli.options import (
    ADDRESS,
    check_passphrase,
    complete_wallets,
    keystore_option,
    open_keystore,
    passphrase_option,
    read_passphrase,
)
from llamafund_chain.cli.output import emit, note
from llamafund_chain.cli.secrecy import keep_out_of_core_files
from llamafund_chain.cli.sending import (
    all_told,
    is_dry_run,
    note_unfinished,
    print_dry_run,
    print_sent,
    sending_options,
)
from llamafund_chain.errors import LlamafundError, UsageError

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount
    from pydantic import JsonValue

    from llamafund_chain.chain.outside import UnsignedError

F = TypeVar("F", bound=Callable[..., Any])

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_KINDS = ("keystore", "env", "rpc", "safe", "print")
_FORMS = "keystore:NAME, env:VARIABLE, rpc:URL, safe:ADDRESS or print"


@dataclass(frozen=True)
class Signer:
    """The signer that the options choose.

    Attributes:
        kind: `keystore`, `env`, `rpc`, `safe` or `print`; empty if none was named.
        where: What follows the colon. It may contain a secret.
        sender: The account, where the signer does not say it; checksummed.
        keystore: See `open_keystore`.
        passphrase_file: See `read_passphrase`.
    """

    kind: str
    where: str
    sender: str | None = None
    keystore: Path | None = None
    passphrase_file: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.kind)

    def __repr__(self) -> str:
        return f"Signer({self.kind!r})"

    @property
    def prints(self) -> bool:
        """Whether nobody signs here."""
        return self.kind in ("print", "safe")

    def check(self) -> None:
        """Refuse what can be seen to be wrong before a node is asked and before anybody types a passphrase.

        Raises:
            UsageError: No signer was named, no account for one that signs elsewhere, or no passphrase can be read.
            LlamafundError: The key file does not exist.
        """
        if self.kind == "keystore":
            open_keystore(self.keystore).locate(self.where)
            check_passphrase(self.passphrase_file)
        elif self.prints:
            self._absent()
        elif not self.kind:
            raise UsageError(
                "No wallet was named",
                "This command signs",
                "Name one with --wallet or --signer. `llamafund wallet list` shows yours, `llamafund wallet new` "
                "creates one",
            )

    def unlock(self, *, at_once: bool = False) -> BaseAccount:
        """The account that signs. A person is asked for a passphrase when it signs, after they saw what.

        Args:
            at_once: Whether to ask now, because what comes before takes long.

        Raises:
            UsageError: As `check`, or the signer has no such account.
            LlamafundError: As `check`, the passphrase is wrong, or the signer does not answer.
        """
        known = self.known_sender() if is_dry_run() else None
        if known is not None:
            from llamafund_chain.chain.signers import AbsentAccount

            return AbsentAccount(known)
        self.check()
        if self.kind == "keystore":
            known = self.known_sender()
            account: BaseAccount
            if self.passphrase_file is None and known is not None and not at_once:
                from llamafund_chain.chain.signers import LockedAccount

                account = LockedAccount(known, self._from_keystore)
            else:
                account = self._from_keystore()
        elif self.kind == "env":
            account = _account_in(self.where)
        elif self.kind == "rpc":
            from llamafund_chain.chain.signers import RemoteSigner

            return RemoteSigner(self.where).account(self.sender)
        else:
            return self._absent()
        if self.sender not in (None, account.address):
            raise UsageError(
                f"The key is that of {account.address}", f"--from says {self.sender}", "Name another wallet or account"
            )
        return account

    def _from_keystore(self) -> BaseAccount:
        passphrase = read_passphrase(self.passphrase_file, purpose=f"Passphrase of {self.where}")
        return open_keystore(self.keystore).unlock(self.where, passphrase)

    def known_sender(self) -> str | None:
        """The account's address, checksummed, as far as it is known without a passphrase; `None` if it is not."""
        if self.kind != "keystore":
            return self.sender
        from llamafund_chain.chain.abi import checksum

        stated = open_keystore(self.keystore).address_of(self.where)
        return self.sender if stated is None else checksum(stated)

    def unlock_to_sign(self) -> BaseAccount:
        """The account that signs here, for what cannot be signed elsewhere.

        Raises:
            UsageError: Nobody signs here; or as `unlock`.
            LlamafundError: As `unlock`.
        """
        self.check_signs_here()
        return self.unlock(at_once=True)

    def check_signs_here(self) -> None:
        """Refuse a signer elsewhere.

        Raises:
            UsageError: Nobody signs here.
        """
        if self.prints:
            raise UsageError(
                f"This command cannot leave the signing to somebody else (--signer {self.kind})",
                "What it signs is not one transaction",
                "Choose another signer",
            )

    def _absent(self) -> BaseAccount:
        from llamafund_chain.chain.signers import AbsentAccount, SafeAccount

        if self.kind == "safe":
            try:
                safe = ADDRESS.convert(self.where, None, None)
            except click.BadParameter:
                # Never what was given: it may be a key.
                raise UsageError(
                    "safe: was given something that is not an address", "It may have a typo", "Write safe:0x…"
                ) from None
            if self.sender not in (None, safe):
                raise UsageError(f"The Safe is {safe}", f"--from says {self.sender}", "Drop --from")
            return SafeAccount(safe)
        if self.sender is None:
            raise UsageError(
                "Nobody is named who would sign",
                "The transaction depends on the account that sends it",
                "Name the account with --from ADDRESS",
            )
        return AbsentAccount(self.sender)


def signer_options(command: F) -> F:
    """`--signer`, `--wallet`, `--from`, `--keystore` and `--passphrase-file`; parameter `signer`, a checked `Signer`.

    If nobody signs here, the command ends at the transaction that it would send, which is printed. The options of
    `sending_options` come with them.
    """
    return required_signer_options(sending_options(command))


def required_signer_options(command: F) -> F:
    """The same for commands that decide themselves what to offer and what to wait for."""

    @functools.wraps(command)
    def checked(*arguments: Any, signer: Signer, **options: Any) -> Any:
        if not (is_dry_run() and signer.known_sender()):
            signer.check()
        return command(*arguments, signer=signer, **options)

    return cast("F", optional_signer_options(checked))


def optional_signer_options(command: F) -> F:
    """The same for commands that also work without a signer."""

    @functools.wraps(command)
    def with_signer(
        *arguments: Any,
        signer: str | None,
        wallet: str | None,
        keystore: Path | None,
        passphrase_file: Path | None,
        **options: Any,
    ) -> Any:
        from llamafund_chain.chain.outside import SendsOnlyError, UnsignedError
        from llamafund_chain.chain.sending import DryRunError, NotWaitedError

        as_json = bool(options.get("as_json"))
        chosen = _choose(signer, wallet, options.pop("from"), keystore, passphrase_file)
        if chosen.prints and "yes" in options:
            # Nothing is sent, so there is nothing to agree to.
            options["yes"] = True
        try:
            command(*arguments, signer=chosen, **options)
            all_told()
        except UnsignedError as unsigned:
            _print_unsigned(unsigned, as_json=as_json)
        except DryRunError as dry:
            print_dry_run(dry.preview, as_json=as_json)
        except NotWaitedError as sent:
            print_sent(sent, as_json=as_json)
        except LlamafundError:
            note_unfinished()
            raise
        except SendsOnlyError:
            raise UsageError(
                "The signer only sends transactions itself",
                "This command needs them signed first, to send several or to replace one",
                "Use a key file, or a signer with eth_signTransaction",
            ) from None

    decorated = passphrase_option(keystore_option(with_signer))
    decorated = click.option(
        "--from",
        "from",
        envvar="LLAMAFUND_FROM",
        type=ADDRESS,
        metavar="ADDRESS",
        default=None,
        show_envvar=True,
        help="Account that signs, for a signer that has several or none.",
    )(decorated)
    decorated = click.option(
        "--signer",
        envvar="LLAMAFUND_SIGNER",
        metavar="KIND",
        default=None,
        show_envvar=True,
        help="Who signs: keystore:NAME, env:VARIABLE (with a private key), rpc:URL (Clef, Frame or a node), "
        "safe:ADDRESS (a file for its app), or print (the unsigned transaction).",
    )(decorated)
    decorated = click.option(
        "--wallet",
        envvar="LLAMAFUND_WALLET",
        metavar="NAME",
        default=None,
        show_envvar=True,
        shell_complete=complete_wallets,
        help="Key file that signs: its name, or its path. Short for --signer keystore:NAME.",
    )(decorated)
    return cast("F", decorated)


def _choose(
    signer: str | None, wallet: str | None, sender: str | None, keystore: Path | None, passphrase_file: Path | None
) -> Signer:
    if signer and wallet:
        order = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
        nearer = next((found for source in order if (found := _given_by(source))), [])
        if len(nearer) != 1:
            raise UsageError(
                "--wallet and --signer were both given", "--wallet NAME is short for --signer keystore:NAME", "Drop one"
            )
        signer, wallet = (signer, None) if nearer == ["signer"] else (None, wallet)
    kind, _, where = (signer or "").partition(":")
    if wallet:
        kind, where = "keystore", wallet
    elif signer and (kind not in _KINDS or (kind == "print") == bool(where)):
        # Never what was given: it may be a key.
        raise UsageError("--signer was given something that it does not know", f"It is {_FORMS}")
    return Signer(kind, where, sender, keystore, passphrase_file)


def _given_by(source: ParameterSource) -> list[str]:
    context = click.get_current_context()
    return [name for name in ("signer", "wallet") if context.get_parameter_source(name) is source]


def _account_in(variable: str) -> BaseAccount:
    """The account whose private key is in an environment variable, which is removed: children have no use for it."""
    from eth_account import Account

    from llamafund_chain.chain.wallet import parse_private_key

    if not _VARIABLE.fullmatch(variable):
        raise UsageError(
            "env: was given something that is not the name of a variable",
            "A key on the command line can be seen in the list of processes",
            "Put the key into a variable and write env:VARIABLE",
        )
    keep_out_of_core_files()
    text = os.environ.pop(variable, "")
    if not text:
        raise UsageError(f"The environment variable {variable} is not set", "It would have a private key")
    account: BaseAccount = Account.from_key(parse_private_key(text))
    return account


def _print_unsigned(unsigned: UnsignedError, *, as_json: bool) -> None:
    """Print a transaction for a wallet outside: its fields, a link, and on a terminal the link as a QR code.

    For a Safe, print the file that its app imports.
    """
    from llamafund_chain.chain.outside import link_of, qr_code, safe_batch

    transaction = dict(unsigned.transaction)
    command = click.get_current_context().command_path.partition(" ")[2]
    if unsigned.by_safe:
        batch = safe_batch(transaction, int(time.time() * 1000))
        note("Not sent. Save this as a file and import it into the Safe's Transaction Builder, for its owners to sign.")
        facts: dict[str, JsonValue] = {"unsigned": {**transaction}, "link": None, "batch": batch}
        emit(command, facts, json.dumps(batch, indent=2).splitlines(), as_json=as_json)
        return
    link = link_of(transaction)
    lines = json.dumps(transaction, indent=2).splitlines()
    if link is not None:
        lines += ["", link]
        if sys.stdout.isatty():
            lines += ["", *qr_code(link)]
    note("Not sent. Sign and send this transaction with your wallet; it is valid for this account's next number only.")
    if link is None:
        note("Note: no link (EIP-681) can express its arguments.")
    emit(command, {"unsigned": {**transaction}, "link": link, "batch": None}, lines, as_json=as_json)
