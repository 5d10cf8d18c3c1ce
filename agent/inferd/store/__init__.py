"""Describes models and keeps them: file, metadata, labels and manifest in, one description out; blobs by their digest.

It never loads a runtime or an array library, never uses a byte that it has not checked, and never activates a model
without a vet report.
"""
