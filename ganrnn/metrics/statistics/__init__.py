"""Mergeable statistics, nearest neighbours, shares, confidence intervals."""
