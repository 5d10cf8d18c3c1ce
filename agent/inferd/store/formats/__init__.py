"""Static readers of model files: TensorFlow Lite, ONNX and what is inside them. Bounded; no runtime is loaded."""
