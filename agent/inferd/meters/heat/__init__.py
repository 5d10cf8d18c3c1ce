"""Temperature, fan speed, clock frequency, throttling."""
