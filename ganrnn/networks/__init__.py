"""Modules that tasks share."""
