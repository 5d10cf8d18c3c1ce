"""Proves the code on ARM without a board: Debian roots for aarch64 and armv7l, run on this machine by QEMU's user emulation."""
