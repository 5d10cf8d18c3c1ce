"""Reads the facts that the checks judge: files, kernel, programs, network. Never judges them."""
