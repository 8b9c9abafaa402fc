"""Where does what Optuna's tools see of a run go?

To its journal file always, and to a data base where `--storage` names one.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from optuna.trial import FrozenTrial

from effsearch.commands.proxy import stored_setting
from effsearch.commands.watching import Watcher
from effsearch.results.journal_file import mend_journal
from effsearch.results.run_dir import RunDir
from effsearch.results.run_files import JOURNAL_FILE
from effsearch.search.shared_studies import SharedStudies
from effsearch.search.study import JournalStudy
from effsearch.search.study_storage import absolute_url, connect, open_storage, reason_of, storage_error
from effsearch.space.passwords import hide_passwords, without_password

NO_STORAGE = "none"


def reach_storage(given: str | None, run: Path | None) -> str | None:
    """Give the URL of the data base that a run writes to, None where it writes to none.

    It is opened once, so that a wrong URL is found out before anything costs time.

    Args:
        given: What `--storage` says; None is what the run was started with.
        run: The run that goes on, if it does.

    Raises:
        EffsearchError: The data base cannot be used.
    """
    url: str | None = stored_setting(run, "storage") if given is None else given
    if url is None or url == NO_STORAGE:
        return None
    if given is not None:
        url = absolute_url(url)  # a resume may stand in another directory
    open_storage(url)
    return url


def storage_setting(url: str | None) -> dict[str, str]:
    """Give the setting that is stored with the run: the URL without its password, nothing where there is none."""
    return {} if url is None else {"storage": without_password(url)}


class RunStudies:
    """The studies of a run, short-named in its journal and `RUN/name` in a data base.

    Args:
        run: The run.
        url: Of the data base, None for the journal alone.
        studies: Their names, and whether each has two objectives; all but the first begin with their first trial.
        watcher: Is told where the studies are, and when the data base is away.

    Raises:
        RunError: The data base cannot be written to, or holds another run of that name.
    """

    def __init__(
        self, run: RunDir, url: str | None, *, studies: Mapping[str, bool], watcher: Watcher
    ) -> None:
        self._say = watcher.say
        self.warnings: list[str] = []  # what the data base lacks, after the end
        self._path = run.path / JOURNAL_FILE
        self._has_two_objectives = dict(studies)
        self._journals: dict[str, JournalStudy] = {}
        self._journal(next(iter(studies)))
        self._shared: SharedStudies | None = None
        if url is None:
            return
        prefix = run.path.resolve().name
        try:
            self._shared = SharedStudies(
                lambda: connect(url),
                studies=studies,
                prefix=prefix,
                owner=run.created.isoformat(),
                say=watcher.say,
                reason_of=lambda error: reason_of(error, url),
            )
        except Exception as error:  # each driver has its own
            raise storage_error(error, url) from None
        watcher.say(f"studies: {prefix}/{next(iter(studies))} in {hide_passwords(url)}")

    def write(self, name: str, trial: FrozenTrial) -> None:
        """Take a finished trial of a study, unless it has one of that network."""
        self._journal(name).add(trial)
        if self._shared is not None:
            self._shared.add(name, trial)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what still waits; a search that was stopped waits for no data base."""
        lag = None if self._shared is None else self._shared.close(is_hurried=kind is not None)
        if lag is not None:
            self.warnings.append(
                f"the Optuna studies lack {lag.num_trials} trials in the data base ({lag.reason}); nothing else is "
                "lost: the same command with the same --run brings them up to date"
            )

    def _journal(self, name: str) -> JournalStudy:
        if name not in self._journals:
            self._journals[name] = JournalStudy(
                self._path,
                study_name=name,
                has_two_objectives=self._has_two_objectives[name],
                mend=self._mend,
            )
        return self._journals[name]

    def _mend(self, path: Path) -> None:
        words = mend_journal(path).words(path)
        if words:
            self._say(f"{words}; its trial is written anew from the ledger")
