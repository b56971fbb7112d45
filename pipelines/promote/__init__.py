"""The verb promote: a scored model to the registry."""
