"""Decoding of texts: sampling, beam search, and constraints on the generated tokens."""
