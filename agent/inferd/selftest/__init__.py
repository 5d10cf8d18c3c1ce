"""Measures this board with what comes with inferd, and writes a report that a user can send. Touches no running service."""
