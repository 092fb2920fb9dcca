"""What somebody would write with web3.py: one search for the pledges, and one call for each backer.

`python -m bench.plain_web3 URL CAMPAIGN FIRST-BLOCK MOST` asks about at most MOST backers, and prints how many seconds
the search took, how many seconds the calls took, how many backers there are and how many were asked about.
"""

from __future__ import annotations

import sys
import time

from web3 import Web3

from llamafund_chain.deployment import artifacts


def main() -> None:
    """Add up the pledges by events and by the contract."""
    url, address, first, most = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    began = time.monotonic()
    web3 = Web3(Web3.HTTPProvider(url))
    # It would ask which chain this is before each call.
    web3.middleware_onion.remove("validation")
    campaign = web3.eth.contract(address=Web3.to_checksum_address(address), abi=list(artifacts.load("Campaign").abi))
    pledged: dict[str, int] = {}
    for event in campaign.events.Pledged().get_logs(from_block=first, to_block="latest"):
        pledged[event["args"]["backer"]] = pledged.get(event["args"]["backer"], 0) + event["args"]["amount"]
    searched = time.monotonic()
    some = list(pledged)[:most]
    for backer in some:
        if campaign.functions.pledgeOf(backer).call() != pledged[backer]:
            raise SystemExit(f"{backer} has another pledge")
    print(searched - began, time.monotonic() - searched, len(pledged), len(some))


if __name__ == "__main__":
    main()
