"""Texts and verdicts."""
