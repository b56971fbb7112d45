"""Neural networks that tasks share."""
