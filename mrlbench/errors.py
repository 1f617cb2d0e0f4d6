"""The one exception that is the user's to mend."""


class UserError(Exception):
    """A request that cannot be met, said in one line: what was expected and what came.

    The command line prints it without a traceback and exits with status 2.
    """
