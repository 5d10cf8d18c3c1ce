"""What a model is, from its manifest, labels, metadata and graph. It never runs a model, and never guesses without saying so."""
