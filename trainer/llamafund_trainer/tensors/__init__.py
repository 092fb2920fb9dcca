"""Weight and optimizer files, read and compared without torch."""
