"""The verb ingest: sources to a data set."""
