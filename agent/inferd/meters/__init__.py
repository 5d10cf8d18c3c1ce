"""What the device and its processes cost, read from /proc and /sys. Never raises: a value, or `Unavailable(why)`."""
