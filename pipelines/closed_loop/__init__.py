"""One model writes the prompts of another."""
