"""One campaign on a chain: its terms, state, events, attestations, challenges and transactions."""
