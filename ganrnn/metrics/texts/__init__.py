"""Scores of texts, poems and molecules."""
