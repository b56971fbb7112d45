"""The verb generate: prompts and a model to samples, exactly once."""
