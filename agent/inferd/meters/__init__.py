"""Measures the device and its processes by /proc and /sys. Never raises: returns a value, or `Unavailable(why)`."""
