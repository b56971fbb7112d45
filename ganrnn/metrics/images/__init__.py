"""Scores of images and of their features."""
