"""Child processes: fork server, channels, heartbeats, signals, resource limits."""
