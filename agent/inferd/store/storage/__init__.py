"""Blobs and state on disk, valid after a power cut at any instant."""
