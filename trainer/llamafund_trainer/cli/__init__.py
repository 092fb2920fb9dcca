"""The trainer's commands; `llamafund` finds them by entry point."""
