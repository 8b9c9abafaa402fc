"""What can go wrong in a way that a user can mend?

`cli` prints one line for each of these and ends with the exit code that the class names; every other
exception is a bug.
"""


class EffsearchError(Exception):
    """Base of every error a user may meet: the message says where, what came and what to do."""

    exit_code = 1


class UsageError(EffsearchError):
    """Something the user typed or wrote is wrong: an option, a settings file, a path that is not there."""

    exit_code = 2


class SpecError(UsageError):
    """A network description or a search space that does not hold."""


class BudgetError(UsageError):
    """A budget that cannot be read, or that nothing fits."""


class DataError(UsageError):
    """Images that cannot be used as they are."""


class RunError(EffsearchError):
    """Something went wrong at run time: a disk, a download, a run directory in use."""


class WriteError(RunError):
    """A file could not be written: what was there before is untouched."""
