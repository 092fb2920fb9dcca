"""The commands of `llamafund campaign`, one file each."""
