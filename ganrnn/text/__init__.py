"""Texts as tokens: vocabularies, captions, batches, writing as a reinforcement-learning environment."""
