"""Blobs, bundles and state on the disk, valid after a power cut at any instant. It never overwrites what serves."""
