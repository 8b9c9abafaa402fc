"""What of a search do Optuna's own tools get to see?

`baseline` holds every network of the space at its first separate training, `screen` what was scored without one; both
are in the run's journal file and in the data base of `--storage`, and are brought up to date from the ledger.
"""

from collections.abc import Mapping

from effsearch.commands.run_studies import RunStudies
from effsearch.commands.watching import Watcher
from effsearch.results.run_dir import RunDir
from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.study import finished_trial
from effsearch.search.valuation import Valuation, second_value
from effsearch.space.canonical import network_hash
from effsearch.space.outcome import Evaluation
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import ScreenScore

STUDY_NAME = "baseline"
SCREEN_STUDY_NAME = "screen"


class Studies(RunStudies):
    """The two studies of a search for a baseline."""

    def __init__(
        self,
        run: RunDir,
        problem: Problem,
        settings: SearchSettings,
        *,
        storage: str | None,
        watcher: Watcher,
    ) -> None:
        self._problem = problem
        self._settings = settings
        self._valuation = Valuation(problem, settings)
        has_two_objectives = settings.second_objective is not None
        super().__init__(
            run,
            storage,
            studies={STUDY_NAME: has_two_objectives, SCREEN_STUDY_NAME: False},
            watcher=watcher,
        )

    def add(self, evaluation: Evaluation) -> None:
        """Take a training in the ledger's order; write a network's first one, where it is a point of the space."""
        self._valuation.note(evaluation)
        job = evaluation.job
        if not job.choices or job.replicate or job.kind not in ("trial", "anchor"):
            return
        values: tuple[float, ...] | None = None
        if evaluation.result is not None:
            values = (self._valuation.score(evaluation),)
            if self._settings.second_objective is not None:
                values += (float(second_value(job.cost, self._settings)),)
        self.write(
            STUDY_NAME, finished_trial(self._problem.space, job.choices, values=values, network=job.network)
        )

    def add_screened(self, scores: Mapping[Point, ScreenScore]) -> None:
        """Write the networks that were scored without a training; the value is minus the loss, else NASWOT."""
        space = self._problem.space
        for point, score in scores.items():
            spec = space.spec_at(
                point, resolution=self._problem.resolution, num_classes=self._problem.num_classes
            )
            labels = space.labels_at(point)
            self.write(
                SCREEN_STUDY_NAME,
                finished_trial(space, labels, values=(score.value,), network=network_hash(spec)),
            )
