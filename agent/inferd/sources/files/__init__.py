"""Recorded input: pictures, video, sound and arrays from files."""
