"""Metrics for Prometheus over HTTP, from the last messages sent."""
