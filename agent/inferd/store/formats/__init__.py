"""Bounded readers of model files (TensorFlow Lite, ONNX) and of what is inside them. They never load a runtime."""
