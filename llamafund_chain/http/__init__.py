"""HTTP to servers that are not trusted, nodes and stores alike: bounded in time, in size and in depth."""
