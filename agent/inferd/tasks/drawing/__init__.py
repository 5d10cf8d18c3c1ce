"""Results drawn on pictures, and pictures as small JPEGs. Not part of the loop."""
