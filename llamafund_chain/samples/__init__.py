"""What people begin with: a small text to train on, and the files of a first campaign."""
