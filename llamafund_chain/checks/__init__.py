"""What attestors and auditors check about a milestone's evidence, and the risks in a campaign's terms."""
