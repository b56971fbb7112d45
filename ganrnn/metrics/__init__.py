"""Scores of generated samples, as statistics that merge: the same numbers for any number of workers."""
