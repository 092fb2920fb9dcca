"""The IPFS formats: UnixFS and CAR files."""
