"""From a network to a text: sampling and search, and constraints that hold while it is written."""
