"""The gate that a new version passes, and the way back when one turns bad.

Whoever has the newest version is told what the live model says before it sees a sample: that has
been noted of recent samples. The versions that the store keeps are asked about the same samples,
those that they had not seen. What is compared is so the error of going on as always and that of
having stayed with an older version.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from estimator.arrays import Floats
from estimator.artifacts.artifact import Artifact
from estimator.artifacts.frozen import FrozenModel
from estimator.errors import DamagedError, NotFoundError
from estimator.learning.assessment import RIPE_SAMPLES
from estimator.learning.comparison import FEWEST, Comparison, compare, served
from estimator.learning.recent_samples import Samples
from estimator.storage.model_index import PASS, SHORT, Decision, ModelIndex, Version
from estimator.storage.model_store import ModelStore

MARGIN: Final = 0.05
"""A version may be wrong by that fraction more than the one that it replaces."""
LOOK_SECONDS: Final = 30.0
"""So often (in event time) older versions are asked whether one of them would be better now."""
REST_SECONDS: Final = 300.0
"""After a roll-back there is none for so long (in event time)."""

_log = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """What was decided of which index, upon what; ``looked``: older versions were asked."""

    before: ModelIndex
    decision: Decision
    found: Comparison | None = None
    looked: bool = False


class Gate:
    """Publishes artifacts to ``models``, holds back those that are worse, goes back to better ones.

    What it decides is kept in the model's index: another learner goes on from there. What it needs
    to decide again comes with the next samples.
    """

    def __init__(self, models: ModelStore, margin: float = MARGIN) -> None:
        self._models = models
        self._margin = margin
        self._frozen: dict[str, dict[str, FrozenModel | None]] = {}
        self._looked: dict[str, int] = {}

    def publish(self, artifact: Artifact, samples: Samples) -> str:
        """Make the artifact its model's newest version, and the current one if it may be.

        ``samples`` are the model's recent ones; while there are too few, the artifact passes unless
        versions are held back already. Returns its digest.
        """
        verdicts: list[Verdict] = []

        def decide(index: ModelIndex) -> Decision:
            verdicts.append(self._judge(index, artifact, samples))
            return verdicts[-1].decision

        name = self._models.publish(artifact, decide=decide)
        slug = artifact.manifest.key.slug
        self._frozen.setdefault(slug, {})[name] = artifact.model
        if verdicts:
            verdict = verdicts[-1]
            if verdict.looked:
                self._looked[slug] = artifact.manifest.at
            _tell(verdict)
        return name

    def _judge(self, index: ModelIndex, artifact: Artifact, samples: Samples) -> Verdict:
        self._forget(index)
        if math.isinf(self._margin):
            return Verdict(index, PASS)
        if not self._can_serve(index.served, artifact):
            return Verdict(index, PASS)
        if _begins_anew(index.served, artifact):
            return Verdict(index, Decision(held=True))
        held = index.held_since is not None
        found = self._against(index.served, samples.estimated, samples, artifact)
        if found is not None and found.least > self._margin:
            held = True
        elif found is not None and found.excess <= self._margin:
            held = False
        looks = self._looks(index, artifact.manifest.at)
        if looks:
            better, by = self._better(index, artifact, samples, held=held)
            if better is not None:
                return Verdict(index, Decision(True, better.digest), by, looks)
        return Verdict(index, Decision(held) if held else PASS, found, looks)

    def _looks(self, index: ModelIndex, at: int) -> bool:
        """Whether it is time to ask the older versions."""
        back = index.rolled_back_at
        if back is not None and 0 <= at - back < REST_SECONDS * 1000:
            return False
        return not 0 <= at - self._looked.get(index.key.slug, -(10**18)) < LOOK_SECONDS * 1000

    def _can_serve(self, current: Version, artifact: Artifact) -> bool:
        """Whether the current version answers as the new one would; else it could stay for ever.

        A meter that shows more starts a model anew, and a version may be damaged in the store:
        neither can ever be compared with what is learned since.
        """
        return _alike(current, artifact) and self._model(artifact, current.digest) is not None

    def _better(
        self, index: ModelIndex, artifact: Artifact, samples: Samples, *, held: bool
    ) -> tuple[Version | None, Comparison | None]:
        """The version, if any, than which what would be served now is worst, and by how much."""
        now = samples.estimated
        if held:
            current = self._model(artifact, index.current)
            if current is None:
                return None, None
            samples = samples.after(index.served.at)
            now = served(current, samples)
        best: tuple[Version | None, Comparison | None] = None, None
        for version in index.versions:
            if version.held or version.digest == index.current:
                continue
            found = self._against(version, now, samples, artifact)
            if found is None or found.least <= self._margin:
                continue
            if best[1] is None or found.excess > best[1].excess:
                best = version, found
        return best

    def _against(
        self, version: Version, said: Floats, samples: Samples, artifact: Artifact
    ) -> Comparison | None:
        """How much more wrong what was said is than that version, on what it had not seen."""
        newer = samples.at > version.at
        if newer.sum() < FEWEST or not _alike(version, artifact):
            return None
        model = self._model(artifact, version.digest)
        if model is None:
            return None
        unseen = samples.after(version.at)
        return compare(said[newer], served(model, unseen), unseen.measured, unseen.at)

    def _model(self, artifact: Artifact, digest: str) -> FrozenModel | None:
        """The model of a version of the artifact's; None if it cannot be read."""
        known = self._frozen.setdefault(artifact.manifest.key.slug, {})
        if digest not in known:
            try:
                known[digest] = self._models.artifact(digest).model
            except (DamagedError, NotFoundError) as error:
                _log.warning("a version cannot be compared with: %s", error)
                known[digest] = None
        return known[digest]

    def _forget(self, index: ModelIndex) -> None:
        """Remember no versions of a model but those that are kept."""
        known, kept = self._frozen.get(index.key.slug, {}), _digests(index.versions)
        self._frozen[index.key.slug] = {
            digest: model for digest, model in known.items() if digest in kept
        }


def _digests(versions: Iterable[Version]) -> set[str]:
    return {version.digest for version in versions}


def _alike(version: Version, artifact: Artifact) -> bool:
    """Whether both are asked and answer in the same way."""
    manifest = artifact.manifest
    return (version.features, version.components) == (manifest.features, manifest.components)


def _begins_anew(current: Version, artifact: Artifact) -> bool:
    """Whether the learner has begun from nothing, and knows next to nothing yet."""
    return artifact.manifest.samples < RIPE_SAMPLES <= current.samples


def _tell(verdict: Verdict) -> None:
    """Say what has changed; what stays as it was has been said."""
    index, (held, back), found, _ = verdict
    slug, was_held = index.key.slug, index.held_since is not None
    by = "" if found is None else f" by {found.excess:.0%}, on {found.among} samples"
    if back is not None and back != index.current:
        to = next(version for version in index.versions if version.digest == back)
        _log.warning(
            "model %s is rolled back to %s: what came after it is worse%s", slug, _name(to), by
        )
    elif held and not was_held:
        why = f"they are worse{by}" if found else "they have learned from few samples only"
        served = _name(index.served)
        _log.warning(
            "model %s: new versions are held back, %s stays current: %s", slug, served, why
        )
    elif was_held and not held:
        why = "they are no worse" if found else "they cannot be compared with the current one"
        _log.info("model %s: new versions become current again, %s", slug, why)


def _name(version: Version) -> str:
    when = datetime.fromtimestamp(version.at / 1000, tz=UTC)
    return f"{version.digest[:SHORT]} ({when:%Y-%m-%d %H:%M:%S} UTC)"
