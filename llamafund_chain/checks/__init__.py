"""What attestors check before they sign and auditors check afterwards, and the risks in a campaign's terms.

A check examines one milestone's evidence and yields findings. The checks here need no machine-learning library. Other
packages add checks through the entry point group `llamafund.checks`; each entry point is a tuple of checks. A check is
named after its function: `content_published` is `content-published`.
"""
