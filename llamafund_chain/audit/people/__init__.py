"""Whether those who should be apart are, as far as the chain shows."""
