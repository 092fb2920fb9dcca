"""A service that co-signs attestations for one campaign, after all installed checks and one of its own.

    python service.py CAMPAIGN INBOX OUTBOX --rpc URL --store STORE --key-file FILE --passphrase-file FILE [--once]

Whoever asks for a signature puts an attestation file into INBOX. Each file gets one of three answers. Everything
holds: OUTBOX gets the file with this attestor's signature added. Something does not hold: OUTBOX gets
`NAME.refused.txt`, which says what. It could not be told, because a node or a store is down: nothing is written, and
the next round tries again.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT, SIGTERM, signal

from eth_account import Account
from eth_account.signers.local import LocalAccount

from llamafund_chain import (
    AttestationFile,
    CampaignClient,
    CheckContext,
    Finding,
    LlamafundError,
    Request,
    Store,
    UsageError,
    VerificationError,
    co_sign,
    connect,
    examine,
    open_store,
    settled_state,
    sign,
)

OPEN = frozenset({"Apache-2.0", "MIT", "CC0-1.0", "CC-BY-4.0"})
"""Licenses of models that this attestor puts its name to."""

REFUSALS = (VerificationError, UsageError)
"""What says something about the file. Everything else says something about the node, the store, this machine, or the
campaign's present state."""


def license_is_open(context: CheckContext) -> Iterator[Finding]:
    """This attestor's own check: the proposal promises one of the licenses above."""
    promised = context.proposal.license
    if promised in OPEN:
        yield Finding("pass", f"The proposal promises {promised}")
    else:
        yield Finding("fail", f"The proposal promises {promised}, which this attestor does not sign for")


class Service:
    """Answers what is in the inbox.

    Args:
        client: The campaign, proven to be one.
        store: Where its evidence is.
        account: The attestor's.
        segments: How many training segments to replay; 0 for none.
        skip: Names of checks that this attestor answers for without running them.
    """

    def __init__(
        self, client: CampaignClient, store: Store, account: LocalAccount, segments: int, skip: tuple[str, ...]
    ) -> None:
        self._client, self._store, self._account = client, store, account
        self._segments, self._skip = segments, skip

    def answer(self, inbox: Path, outbox: Path) -> int:
        """Answer each file once.

        Returns:
            How many could not be answered yet.
        """
        waiting = 0
        for path in sorted(inbox.glob("*.json")):
            signed, refused = outbox / path.name, outbox / f"{path.stem}.refused.txt"
            if signed.exists() or refused.exists():
                continue
            try:
                self._signed(path).save(signed)
                print(f"{path.name}: signed", flush=True)
            except REFUSALS as error:
                refused.write_text(f"{error}\n", encoding="utf-8")
                print(f"{path.name}: refused: {error}", flush=True)
            except LlamafundError as error:
                waiting += 1
                print(f"{path.name}: not yet: {error}", flush=True)
        return waiting

    def _signed(self, path: Path) -> AttestationFile:
        what = co_sign(self._client, AttestationFile.load(path))
        request = Request(
            client=self._client,
            state=settled_state(self._client, "finalized"),
            store=self._store,
            attestor=self._account.address,
            what=what,
            replay_segments=self._segments,
            skip=self._skip,
            own_checks=(license_is_open,),
        )
        return sign(examine(request), self._account)


def main() -> int:
    """Serve until a signal, or answer once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("campaign")
    parser.add_argument("inbox", type=Path)
    parser.add_argument("outbox", type=Path)
    for option in ("--rpc", "--store", "--key-file", "--passphrase-file"):
        parser.add_argument(option, required=True)
    parser.add_argument("--segments", type=int, default=1, help="training segments to replay")
    parser.add_argument("--skip-check", action="append", default=[], help="answer for this check without running it")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between rounds")
    parser.add_argument("--once", action="store_true", help="one round; the exit code is 7 if something waits")
    given = parser.parse_args()
    passphrase = Path(given.passphrase_file).read_text(encoding="utf-8").rstrip("\n")
    account = Account.from_key(Account.decrypt(Path(given.key_file).read_text(encoding="utf-8"), passphrase))
    ended = threading.Event()
    for number in (SIGINT, SIGTERM):
        signal(number, lambda *_: ended.set())
    try:
        client = CampaignClient(connect(given.rpc), given.campaign)
        client.verify_code()
        service = Service(client, open_store(given.store), account, given.segments, tuple(given.skip_check))
        while True:
            waiting = service.answer(given.inbox, given.outbox)
            if given.once:
                return 7 if waiting else 0
            if ended.wait(given.interval):
                return 0
    except LlamafundError as error:
        print(f"Error: {error}", file=sys.stderr)
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
