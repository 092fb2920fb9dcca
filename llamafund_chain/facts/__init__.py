"""What is known of a chain, kept from run to run in a database: headers, logs, events, states; see docs/facts.md."""
