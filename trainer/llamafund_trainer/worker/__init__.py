"""The process that trains, replays and measures. Only this package imports torch freely."""
