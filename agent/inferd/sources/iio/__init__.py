"""Sensors of the kernel's Industrial I/O. They must never leave a buffer enabled that they enabled."""
