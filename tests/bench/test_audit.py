"""The campaigns that the auditor is measured with have the pledges that they should have."""

from __future__ import annotations

from bench import audit
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import Pledged


def test_many_pledges_are_made_at_once_and_each_is_another(devnet, monkeypatch) -> None:
    monkeypatch.setattr(audit, "_BLOCKS", 1)
    for pledges, blocks in ((3, 1), (45, 1)):
        address, _ = audit._campaign(devnet, pledges)
        audit._pledge(devnet, address, pledges)
        found = [event for event in CampaignClient(devnet.connection, address).events() if isinstance(event, Pledged)]
        assert [event.amount for event in found] == [10**9 + number for number in range(pledges)]
        assert len({event.backer for event in found}) == pledges
        assert len({event.block for event in found}) == blocks
    monkeypatch.setattr(audit, "_BLOCKS", 500)
    address, _ = audit._campaign(devnet, 99)
    audit._pledge(devnet, address, 45)
    found = [event for event in CampaignClient(devnet.connection, address).events() if isinstance(event, Pledged)]
    assert [event.block - found[0].block for event in found] == [0] * 20 + [1] * 20 + [2] * 5
