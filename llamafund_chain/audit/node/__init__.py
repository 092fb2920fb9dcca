"""What nodes say, checked against itself, against proofs, and against what other nodes say."""
