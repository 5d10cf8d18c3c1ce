"""Sensors of the Linux Industrial I/O subsystem, polled or buffered."""
