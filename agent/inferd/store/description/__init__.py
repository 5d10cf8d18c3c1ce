"""What a model is: manifest, labels, inputs and outputs, from the files beside it and from the model itself."""
