"""Windows of sound or sensor readings into inputs: spectra, features, principal components."""
