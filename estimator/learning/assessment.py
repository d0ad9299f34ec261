"""How wrong a model is, and which of its experts are heard for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from estimator.arrays import Floats, State, copied
from estimator.artifacts.chunks import Chunks
from estimator.artifacts.frozen import FrozenModel
from estimator.learning.drift import Detection, Drift
from estimator.learning.questions import Question, Questions
from estimator.learning.recent_samples import RecentSamples
from estimator.learning.scoring import Scores, next_errors
from estimator.learning.snapshots import Snapshots
from estimator.learning.strangers import Stranger, StrangerScores
from estimator.learning.weighing import Weighing, weights_of
from estimator.regressors.batch import Batch
from estimator.vocabulary import HORIZONS

RECENT_SECONDS: Final = 600.0
"""Half-life of the errors that are called recent."""
RIPE_SAMPLES: Final = 50
"""What a model says before it has learned so many is no measure of it."""


class Judgement(NamedTuple):
    """What came of asking about a batch.

    ``estimated`` are watts [R, C], ``sums`` the scores' of each round, ``now`` the models that were
    asked about the next sample, and ``drift`` the first that shows, with the number of its round.
    """

    questions: Questions
    estimated: Floats
    sums: Floats
    now: list[FrozenModel]
    drift: tuple[int, Detection] | None


class Assessment:
    """Asks a model as it is and as it was about samples, weighs its experts, keeps its errors.

    A batch is judged first and counted afterwards: one with a drift in its midst is taken back to
    the mark, and judged again in two.
    """

    def __init__(self, features: int, experts: int, components: int) -> None:
        self.total = Scores(len(HORIZONS), components)
        self.recent = Scores(len(HORIZONS), components, RECENT_SECONDS)
        self.noted = RecentSamples(features, components)
        self.drift, self.strangers = Drift(components), StrangerScores(components)
        self._weighing = Weighing(experts, components)
        self._snapshots = _no_snapshots()

    def weights(self) -> Floats:
        """How much each expert counts now."""
        return self._weighing.weights()

    def judge(
        self, batch: Batch, before: FrozenModel | None, models: list[FrozenModel]
    ) -> Judgement | None:
        """Ask the models of then about the batch, and give the ``models`` of its rounds weights.

        ``before`` is what the model was until then. None for the very first round.
        """
        asked = self._ask(batch, before, models)
        if not asked:
            models[0].weights = self._weighing.weights()
            return None
        questions = Questions(batch, asked)
        estimated = self._weigh(batch, questions, models)
        sums = questions.sums(self.total.terms(estimated, questions.watts), len(HORIZONS))
        now = [question.model for question in asked if not question.horizon]
        return Judgement(
            questions, estimated, sums, now, self._drift_in(batch, now, next_errors(sums))
        )

    def count(self, batch: Batch, found: Judgement, samples: int) -> None:
        """Count the errors that were found, of a model that had learned so many samples before."""
        self._note(batch, found.questions, found.estimated, samples)
        self.recent.follow(self.total)
        for scores in (self.total, self.recent):
            scores.add_rounds(found.sums, [at / 1000 for at in batch.at])

    def score_strangers(
        self, kind: Stranger, asked: FrozenModel, rows: Floats, watts: Floats, at: int
    ) -> Floats:
        """Score against watts [K, C] what the model, as it was when ``asked``, says of rows [K, F].

        They are of nodes that are not to be learned from. Returns what was said, [K, C].
        """
        estimated = asked.predict_many(rows)
        self.strangers.update(kind, estimated, watts, at / 1000)
        return estimated

    def mark(self) -> dict[str, Any]:
        """Where everything is now that judging changes."""
        return {
            "weighing": copied(self._weighing.state()),
            "drift": self.drift.state(),
            "snapshots": [snapshots.mark() for snapshots in self._snapshots],
        }

    def rewind(self, mark: Mapping[str, Any]) -> None:
        """Go back to a mark."""
        self._weighing.restore(mark["weighing"])
        self.drift.restore(mark["drift"])
        for snapshots, kept in zip(self._snapshots, mark["snapshots"], strict=True):
            snapshots.rewind(kept)

    def _ask(
        self, batch: Batch, before: FrozenModel | None, models: list[FrozenModel]
    ) -> list[Question]:
        """Which model is asked about which round, round by round, the nearest horizon first."""
        asked = []
        for number, model in enumerate(models):
            if before is not None:
                asked.append(Question(number, 0, before))
            for horizon, snapshots in enumerate(self._snapshots, start=1):
                old = snapshots.as_of(batch.at[number])
                if old is not None:
                    asked.append(Question(number, horizon, old))
                snapshots.keep(model)
            before = model
        return asked

    def _weigh(self, batch: Batch, questions: Questions, models: list[FrozenModel]) -> Floats:
        """Ask the models of then, and weigh the experts by how wrong they were: [R, C] watts."""
        recent = np.empty((len(batch), *self._weighing.shape))
        opinions = questions.opinions()
        wrong = questions.means(np.abs(opinions - questions.watts[:, None]))
        seconds = [at / 1000 for at in batch.at]
        for number, (horizons, part) in enumerate(questions.by_round):
            self._weighing.update(horizons, wrong[part], seconds[number])
            recent[number] = self._weighing.recent()
        for model, weights in zip(models, weights_of(recent), strict=True):
            model.weights = weights
        return questions.settled(opinions)

    def _drift_in(
        self, batch: Batch, asked: Sequence[FrozenModel], wrong: Floats
    ) -> tuple[int, Detection] | None:
        """The first drift that the rounds' errors [B, C] show, and the number of its round."""
        for number, (model, watts) in enumerate(zip(asked, wrong.tolist(), strict=True)):
            found = self.drift.observe(watts, model.ceiling.tolist(), batch.at[number])
            if found is not None:
                return number, found
        return None

    def _note(self, batch: Batch, questions: Questions, estimated: Floats, samples: int) -> None:
        """Remember some of what was said of the next samples, to judge versions by.

        Of what is asked for the scores only: it is the same whoever else wants to know.
        """
        for number, part in enumerate(questions.next_parts):
            if samples + batch.starts[number] >= RIPE_SAMPLES:
                rows, watts = questions.rows[part], questions.watts[part]
                self.noted.note(rows, estimated[part], watts, batch.at[number])

    def absorb(self, other: Assessment, share: float) -> None:
        """Add another's errors; of weights, its ``share`` (0 to 1). Its past is left out."""
        self._weighing.absorb(other._weighing, share)
        self.total.absorb(other.total)
        self.recent.absorb(other.recent)
        self.drift.absorb(other.drift)
        self.strangers.absorb(other.strangers)

    def state(self, chunks: Chunks, *, past: bool) -> State:
        """All that `restore` needs; without the models of the ``past`` it is much smaller."""
        snapshots = self._snapshots if past else _no_snapshots()
        return {
            "weighing": self._weighing.state(),
            "snapshots": [one.state(chunks) for one in snapshots],
            "total": self.total.state(),
            "recent": self.recent.state(),
            "noted": self.noted.state(),
            "drift": self.drift.state(),
            "strangers": self.strangers.state(),
        }

    def restore(self, state: State, chunks: Chunks) -> None:
        """Go on from a state that `state` gave."""
        self._weighing.restore(state["weighing"])
        for snapshots, kept in zip(self._snapshots, state["snapshots"], strict=True):
            snapshots.restore(kept, chunks)
        self.total.restore(state["total"])
        self.recent.restore(state["recent"])
        self.noted.restore(state["noted"])
        self.drift.restore(state["drift"])
        self.strangers.restore(state["strangers"])


def _no_snapshots() -> list[Snapshots]:
    return [Snapshots(horizon) for horizon in HORIZONS[1:]]
