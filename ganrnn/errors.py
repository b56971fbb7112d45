"""The one exception that is the user's to mend."""


class BadInput(ValueError):
    """Input that the user has to change: a config value, a file, a row, a full disk.

    The message is one sentence that names the place, the value and what is allowed. The command line prints it and
    exits with code 2; nothing is retried.
    """
