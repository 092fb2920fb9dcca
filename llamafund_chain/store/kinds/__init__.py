"""The kinds of stores: a directory, a Kubo node, gateways, a pinning service, mirrors."""
