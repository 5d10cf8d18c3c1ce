"""Debian machines for tests: booted in a container, or in an emulated PC."""
