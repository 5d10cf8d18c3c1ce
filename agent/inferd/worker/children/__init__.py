"""Short-lived child processes: one-shot inference, accelerator probe, USB recovery."""
