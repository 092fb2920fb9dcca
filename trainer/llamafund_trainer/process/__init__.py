"""Between a command and the process that trains: messages, launching, pausing, limits."""
