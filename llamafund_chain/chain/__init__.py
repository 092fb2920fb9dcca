"""One node, one wallet, one transaction. Nothing here knows what a campaign is."""
