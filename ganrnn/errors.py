"""Exceptions for errors that users can fix, or that pass by themselves."""


class BadInput(ValueError):
    """Input that the user has to fix: a config value, a file, a row, a full disk.

    The message is one sentence that names the place, the value and what is allowed. The command line prints it and
    exits with code 2; nothing is retried.
    """


class TryAgain(BadInput):
    """A temporary error, such as a store that does not answer: the same command may succeed later.

    The command line prints the sentence and exits with code 1.
    """
