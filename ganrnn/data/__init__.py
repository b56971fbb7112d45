"""Training data: images, labels and attributes, the built-in scenes, the order of rows."""
