"""The verb train: a data set to checkpoints."""
