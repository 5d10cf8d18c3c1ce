"""Judges figures and answers: numbers in, verdict out; hysteresis is in the rule. It never reads a clock or does I/O."""
