"""The commands of `llamafund campaign`, a file each."""
