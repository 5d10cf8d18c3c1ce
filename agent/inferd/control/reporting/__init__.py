"""What the agent publishes: events, states, metrics, alerts, Home Assistant discovery. Never blocks on a broker."""
