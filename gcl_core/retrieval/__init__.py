"""A trained encoder used on pictures of one's own: features, ranked lists, ONNX."""
