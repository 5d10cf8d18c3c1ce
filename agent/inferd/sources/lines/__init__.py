"""Readings as text, one a line: from a file, a FIFO, a serial port or a program. It must never learn a width from one line."""
