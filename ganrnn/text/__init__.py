"""Texts as tokens: vocabularies, captions, batches, a reinforcement-learning environment."""
