"""Where the contracts are on every chain, byte for byte: their artifacts, records and addresses."""
