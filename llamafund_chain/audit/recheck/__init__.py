"""A report that somebody else made, checked again without a node: its books, proofs and signatures."""
