"""Judges figures and answers: numbers in, verdict out. No clock, no I/O; hysteresis lives in the rule."""
