"""The gate, on a model whose experts are right, wrong for a while, and right again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from estimator.arrays import State
from estimator.artifacts.frozen import FrozenPolynomials
from estimator.errors import StoreError
from estimator.learning.recent_samples import RecentSamples
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch
from estimator.storage.model_index import ModelIndex
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from stream.learning import checkpoint
from stream.learning.gate import LOOK_SECONDS, REST_SECONDS
from stream.learning.learner import Learner, Pool
from stream.learning.publisher import Publisher
from stream.sample import Sample
from tests.stream.builders import MACHINE, START_MS

STEP = 6
COMMIT = 4 * STEP
BAD_FROM, BAD_TO = 1200, 2400


class Straying:
    """An expert that knows the machine, except from `BAD_FROM` to `BAD_TO`: no sample helps."""

    names = ("straying",)

    def __init__(self, features: Sequence[str], components: Sequence[str]) -> None:
        self._at, self._components = 0.0, len(components)

    def learn_rounds(self, batch: Batch) -> list[FrozenPolynomials]:
        made: list[FrozenPolynomials] = []
        for at in batch.at:
            self._at = at / 1000
            made.append(self.freeze())
        return made

    def freeze(self) -> FrozenPolynomials:
        passed = self._at - START_MS / 1000
        slope = 30.0 if BAD_FROM <= passed < BAD_TO else 10.0
        coefficients = np.repeat([[[20.0], [slope]]], self._components, axis=2)
        return FrozenPolynomials(np.ones(1), coefficients, order=1)

    def absorb(self, other: Bank, share: float) -> None:
        self._at = max(self._at, other.state()["at"])

    def state(self) -> State:
        return {"at": self._at}

    def restore(self, state: State) -> None:
        self._at = state["at"]


POOL = Pool({"one": ("cpu_cycles",)}, {"straying": Straying})


class One:
    """A shard of one node, and what publishes its model every fourth sample."""

    def __init__(self, models: ModelStore, partition: int = 0, margin: float = 0.05) -> None:
        self.partition = partition
        self.positions: dict[str, int] = {}
        self.models = models
        self.learner = Learner(POOL)
        self.passed, self.step, self.commit = 0, STEP, COMMIT
        self.components: tuple[str, ...] = ("platform",)
        self.rng = np.random.default_rng(3)
        self.margin = margin
        self.restart()

    def restart(self) -> None:
        """Go on in a new process, from a checkpoint."""
        state = checkpoint.decode(checkpoint.encode(self.learner.state()))
        self.learner = Learner(POOL)
        self.learner.restore(state)
        self.publisher = Publisher(self.models, self.margin)

    def learn(self) -> None:
        self.passed += self.step
        usage = float(self.rng.uniform(1, 5))
        watts = 20 + 10 * usage + float(self.rng.normal(0, 1))
        end = START_MS + self.passed * 1000
        self.learner.learn_one(
            Sample(
                f"node{self.partition}",
                MACHINE,
                "acpi",
                end - self.step * 1000,
                end,
                ("cpu_cycles",),
                np.array([usage]),
                self.components,
                (watts,) * len(self.components),
            )
        )

    def live(self, until: int) -> list[ModelIndex]:
        """The model's index after each commit."""
        seen: list[ModelIndex] = []
        while self.passed < until:
            self.learn()
            if self.passed % self.commit == 0 and self.learner.counts["samples"] > 10:
                self.publisher.publish(self)
                seen += self.models.indexes().values()
        return seen


@pytest.fixture
def models() -> ModelStore:
    return ModelStore(InMemoryStore())


def seconds(index: ModelIndex) -> float:
    """Until when, after the start, the current version had learned."""
    return (index.served.at - START_MS) / 1000


def test_a_model_that_turns_bad_is_rolled_back_and_comes_back(
    models: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = One(models)
    good = one.live(BAD_FROM - 1)
    assert all(index.current == index.versions[-1].digest for index in good)
    assert {(index.held_back, index.state) for index in good} == {(0, "")}
    bad = one.live(BAD_TO - 1)
    back = next(place for place, index in enumerate(bad) if index.rollbacks)
    # Some samples are needed to be sure, and older versions are asked now and then.
    assert back * COMMIT < 240 + LOOK_SECONDS
    assert seconds(bad[back]) < BAD_FROM
    # It stays there: everything that comes is held back, counted, and there to be looked at.
    assert {index.current for index in bad[back:]} == {bad[back].current}
    assert [index.held_back for index in bad[back:]] == list(range(1, len(bad) - back + 1))
    assert bad[-1].rollbacks == {"worse": 1}
    assert bad[-1].state == "held"
    assert [version.held for version in bad[-1].versions][-3:] == [True] * 3
    good = one.live(BAD_TO + 1200)
    assert good[-1].state == ""
    assert good[-1].current == good[-1].versions[-1].digest
    assert seconds(good[-1]) > BAD_TO
    assert good[-1].rollbacks == {"worse": 1}
    assert caplog.text.count("is rolled back to") == 1
    assert caplog.text.count("new versions become current again") == 1
    assert "held back, " not in caplog.text


def test_what_was_decided_outlives_the_process(models: ModelStore) -> None:
    one = One(models)
    one.live(BAD_FROM - 1)
    held = one.live(BAD_TO - 300)[-1]
    assert held.state == "held"
    # Even where what the next one knows of the past is lost.
    for model in one.learner.models.values():
        model.assessment.noted = RecentSamples(1, 1)
    for until in range(BAD_TO - 240, BAD_TO, 60):
        one.restart()
        now = one.live(until)[-1]
        assert (now.current, now.state) == (held.current, "held")
    assert now.held_back > held.held_back


def test_a_version_that_somebody_else_made_current_is_the_one_to_beat(
    models: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    one = One(models)
    one.live(BAD_FROM - 1)
    index = one.live(BAD_FROM + COMMIT)[-1]
    slug = index.key.slug
    good = [one.digest for one in index.versions if one.at < START_MS + 1000 * BAD_FROM][-1]
    models.pin(slug, good)
    pinned = one.live(BAD_FROM + 300)
    assert {index.current for index in pinned} == {good}
    assert {(index.held_back, tuple(index.rollbacks)) for index in pinned} == {(0, ())}
    models.unpin(slug)
    held = one.live(BAD_FROM + 600)
    assert {index.current for index in held} == {good}
    assert held[-1].state == "held"
    assert caplog.text.count("new versions are held back") == 1


def test_nothing_is_held_back_without_a_margin(models: ModelStore) -> None:
    one = One(models, margin=float("inf"))
    last = one.live(BAD_TO - 1)[-1]
    assert (last.held_back, last.rollbacks) == (0, {})
    assert last.current == last.versions[-1].digest


def test_what_shards_know_adds_up(models: ModelStore) -> None:
    shards = [One(models, partition) for partition in (0, 1)]
    for _ in range(BAD_TO // STEP):
        for shard in shards:
            shard.learn()
        if shards[0].passed > 60 and shards[0].passed % COMMIT == 0:
            # The second is another learner's: it shows what it has, and publishes nothing.
            shown = Learner(POOL)
            shown.restore(checkpoint.decode(checkpoint.encode(shards[1].learner.present())))
            other = One(models, partition=1)
            other.learner = shown
            shards[0].publisher.publish(shards[0], others=[other])
    (index,) = models.indexes().values()
    assert index.rollbacks == {"worse": 1}
    assert seconds(index) < BAD_FROM


def test_a_learner_that_begins_anew_has_first_to_show_that_it_is_no_worse(
    models: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = One(models)
    before = one.live(600)[-1]
    one.learner = Learner(POOL)
    one.restart()
    held = one.live(600 + 49 * STEP)
    assert {index.current for index in held} == {before.current}
    assert (held[-1].state, held[-1].served.samples) == ("held", before.served.samples)
    assert "from few samples only" in caplog.text
    passed = one.live(1190)[-1]
    assert (passed.current, passed.state) == (passed.versions[-1].digest, "")
    assert passed.rollbacks == {}


def test_a_meter_that_shows_more_is_not_held_back_for_what_showed_less(models: ModelStore) -> None:
    one = One(models)
    one.live(BAD_FROM - 1)
    assert one.live(BAD_TO - 300)[-1].state == "held"
    one.components = ("platform", "psys")
    index = one.live(BAD_TO - 300 + 20 * STEP)[-1]
    assert index.state == ""
    assert index.served.components == ["platform", "psys"]


def test_what_was_good_is_still_there_however_often_is_published(models: ModelStore) -> None:
    one = One(models)
    one.commit = STEP
    one.live(BAD_FROM - 1)
    back = next(index for index in one.live(BAD_TO - 1) if index.rollbacks)
    assert BAD_FROM - 240 <= seconds(back) < BAD_FROM


def test_a_machine_that_is_read_once_a_minute_is_judged_too(models: ModelStore) -> None:
    one = One(models)
    one.step, one.passed = 60, BAD_FROM - 120 * 60
    good = one.live(BAD_FROM - 1)
    assert {(index.held_back, index.state) for index in good} == {(0, "")}
    bad = one.live(BAD_TO - 1)
    assert bad[-1].rollbacks == {"worse": 1}
    assert seconds(bad[-1]) < BAD_FROM


class Away(InMemoryStore):
    away = False

    def get(self, path: str):  # type: ignore[no-untyped-def]
        if self.away and path.startswith("artifacts/"):
            raise StoreError(f"{path}: away")
        return super().get(path)


def test_a_store_that_is_away_is_an_error_and_a_damaged_version_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Away()
    models = ModelStore(store)
    one = One(models)
    one.live(BAD_FROM - 1)
    one.restart()
    store.away = True
    with pytest.raises(StoreError, match="away"):
        one.live(BAD_FROM + 300)
    store.away = False
    for path in store.list("artifacts"):
        store.put(path, b"damaged")
    one.live(BAD_FROM + 600)
    (index,) = models.indexes().values()
    assert index.rollbacks == {}
    assert (index.current, index.state) == (index.versions[-1].digest, "")
    assert "a version cannot be compared with" in caplog.text


def test_it_rests_after_a_roll_back(models: ModelStore) -> None:
    one = One(models)
    seen = one.live(BAD_TO + 1200)
    backs = [index.rolled_back_at for index in seen if index.rolled_back_at is not None]
    times = sorted(set(backs))
    assert all(b - a >= REST_SECONDS * 1000 for a, b in pairwise(times))
