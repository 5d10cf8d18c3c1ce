"""Decoders for bytes of sources: pictures, sound, text rows. They must never allocate what a header claims unchecked."""
