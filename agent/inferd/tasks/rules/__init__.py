"""What is made of results: tracks, zones, averages, and which results are published. No clock, no array."""
