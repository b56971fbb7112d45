"""Generators, discriminators and their layers."""
