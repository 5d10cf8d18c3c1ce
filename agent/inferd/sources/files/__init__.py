"""Recorded input: pictures, video, sound and arrays from files. They must never write to a file."""
