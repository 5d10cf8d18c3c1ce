"""Keeps deploy/locks/: the exact version and hashes of every package that inferd and each of its extras needs."""
