"""The whole story on a chain of its own: funded, trained, attested, paid, audited, and three rug pulls that fail."""
