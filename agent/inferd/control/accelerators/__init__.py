"""Accelerators as control sees them: which model runs on which, the CPU fallback, recovery. Loads no runtime."""
