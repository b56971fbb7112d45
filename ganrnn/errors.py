"""The exceptions that are the user's to mend, or to wait out."""


class BadInput(ValueError):
    """Input that the user has to change: a config value, a file, a row, a full disk.

    The message is one sentence that names the place, the value and what is allowed. The command line prints it and
    exits with code 2; nothing is retried.
    """


class TryAgain(BadInput):
    """What may be gone in a while, such as a store that does not answer: the same command is worth another try.

    The command line prints the sentence and exits with code 1.
    """
