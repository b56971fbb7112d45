"""Sums that merge exactly, neighbours, shares, intervals."""
