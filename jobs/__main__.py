"""`python -m jobs VERB ...`, the command line where the console script `ganrnn` is not installed."""

from jobs.cli import main

main()
