"""HTTP to servers that nobody trusts: bounded in time and size, and resumable."""
