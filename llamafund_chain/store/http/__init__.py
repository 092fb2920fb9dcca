"""HTTP to untrusted servers: bounded in time and size, and resumable."""
