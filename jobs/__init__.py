"""What to run and when: entry points and recipes."""
