"""A model at work on prompts."""
