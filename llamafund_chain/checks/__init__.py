"""What an attestor checks before signing, and an auditor afterwards; and the risks in a campaign's terms.

A check looks at one milestone's evidence and yields results. The checks here need no machine-learning library;
packages add theirs through the entry point group `llamafund.checks`, each entry point a tuple of checks. A check is
named after its function: `content_published` is `content-published`.
"""
