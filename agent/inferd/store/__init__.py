"""Describes models and keeps them: file, metadata, labels and manifest in, one description out; blobs by their digest.

Nothing here needs a runtime or an array library, believes a byte it has not checked, or becomes active without a vet
report.
"""
