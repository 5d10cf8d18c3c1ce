"""Temperature, and what it leads to: fan speed, clock frequency, throttling."""
