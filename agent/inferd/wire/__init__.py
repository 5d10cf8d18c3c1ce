"""What leaves a process: topics, messages, manifests. Frozen, versioned, with golden bytes in the tests; no I/O here."""
