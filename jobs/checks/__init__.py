"""What a run needs, checked before it begins: settings against each other, the data, the store and the models."""
