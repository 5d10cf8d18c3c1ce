"""End-to-end encryption of payloads and of requests, with a shared key."""
