"""The learner's loop: poll, read, merge, join, learn, and commit from time to time."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from estimator.errors import DamagedError, FencedError, LogUnavailableError, StoreError
from stream.complaints import Complaints
from stream.joining.join import LATENESS_SECONDS
from stream.joining.merge import Entry
from stream.learning import checkpoint
from stream.learning.checkpoint import Checkpoints
from stream.learning.intake import TOPICS, Intake
from stream.learning.learner import Observer, Pool
from stream.learning.publisher import Publisher
from stream.learning.shard import DeadLetter, Shard, read
from stream.learning.shared_models import ShardModels, SharedModels
from stream.log.protocol import Assignment, Log, Membership, Message, Reader, TopicPartition
from stream.records import GROUP

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

_POLLED = 512
"""Messages of one poll at the most."""
_QUEUED = 4 * _POLLED
"""A topic with so many entries waiting for the other topic is not polled further."""
_POLL_SECONDS = 0.5
_RETRY_SECONDS = 2.0
_ASK_AGAIN_SECONDS = 0.1
_UNASSIGNED = "no partitions have been assigned yet"


@dataclass(frozen=True)
class LastCommit:
    """The last commit: when it ended (Unix seconds), how long it took, how much it wrote."""

    at: float
    seconds: float
    bytes: int


@dataclass
class Parts:
    """What a worker works with, in one argument.

    ``membership`` says which partitions are the worker's own while it runs, and ``shared`` is
    where it shows other members what it has learned; without them it has the partitions that it
    was made with.
    """

    log: Log
    pool: Pool
    checkpoints: Checkpoints
    publisher: Publisher | None
    dead_letter: DeadLetter
    read: Callable[[Message], Entry] = read
    group: str = GROUP
    lateness_seconds: float = LATENESS_SECONDS
    commit_seconds: float = 10.0
    observer: Observer | None = None
    clock: Callable[[], float] = time.time
    stop: threading.Event = field(default_factory=threading.Event)
    membership: Membership | None = None
    shared: SharedModels | None = None


def relax_garbage_collection() -> None:
    """Look for cycles rarely: what a learner makes has none, and looking costs a tenth of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


class Worker:
    """Learns from some partitions of the log. One thread; others may read its public figures.

    A crash at any moment loses nothing and learns nothing twice: shards go on from their last
    checkpoint, which holds the offsets that it was made at. So they do with another worker.
    """

    def __init__(self, parts: Parts, partitions: Sequence[int] = ()) -> None:
        self._parts = parts
        self._intakes: dict[int, Intake] = {}
        self._assignment: Assignment | None = None
        self._reading: Reader | None = None
        self._damage = ""
        self._committed_at = parts.clock()
        self._dirty = False
        self.last_commit: LastCommit | None = None
        self.fenced = 0
        """How often a shard was found to be another's."""
        self.waiting = "" if partitions or parts.membership is None else _UNASSIGNED
        """Why nothing is learned now; empty as long as all is well."""
        self._take_over(partitions)

    @property
    def shards(self) -> dict[int, Shard]:
        """The shards that are ours now, by partition."""
        return {number: intake.shard for number, intake in self._intakes.items()}

    def run(self) -> None:
        """Learn until ``stop`` is set; then commit what was learned."""
        stop = self._parts.stop
        complaints = Complaints(_log, self._parts.clock)
        try:
            while not stop.is_set():
                try:
                    self.follow()
                    self._step()
                except (LogUnavailableError, StoreError) as error:
                    what = "log" if isinstance(error, LogUnavailableError) else "store"
                    complaints.say(f"the {what} cannot be read, trying again", error)
                    self.waiting = str(error)
                    stop.wait(_RETRY_SECONDS)
                else:
                    complaints.over("learning goes on")
                    self.waiting = (
                        self._damage if self._intakes or self._assignment else _UNASSIGNED
                    )
            self.commit()
        finally:
            self._stop_reading()

    def run_to_end(self, progress: Progress | None = None, *, commits: bool = False) -> bool:
        """Learn all that is in the log now, as if nothing would ever follow; False if stopped.

        It commits every ``commit_seconds`` if it is told to; the last commit is the caller's, also
        when ``stop`` was set before the end. ``progress`` is told how many messages have been
        learned, and of how many, now and then.
        """
        ends = {topic: self._parts.log.end_offsets(topic) for topic in TOPICS}
        started = self._position()
        total = sum(ends[w.topic][w] for i in self._intakes.values() for w in i.offsets()) - started
        reader = self._reader()
        try:
            idle = True
            while not self._process_to(ends, idle):
                if self._parts.stop.is_set():
                    return False
                messages = reader.poll(_POLLED, 1.0)
                idle = not messages
                self._take(messages, reader)
                if progress is not None:
                    progress(self._position() - started, total)
                if commits:
                    self._commit_in_time()
            self._finish(ends)
            if progress is not None:
                progress(self._position() - started, total)
        finally:
            reader.close()
        return True

    def _finish(self, ends: dict[str, dict[TopicPartition, int]]) -> None:
        """Learn the rounds under way; what retention had deleted unread counts as skipped."""
        for intake in self._intakes.values():
            for where in intake.offsets():
                intake.shard.skip_to(where.topic, ends[where.topic][where])
            intake.shard.learner.flush()
            intake.changed = True  # by what was flushed, even where nothing new was read
        self._dirty = True

    def follow(self) -> bool:
        """Hold the shards of the partitions that are assigned to us now; whether there are any.

        A shard is claimed in the store before it is read: from then on nobody else can write it.
        Then the group is asked whether it is still ours: one that was shut out while it claimed
        must let go. ``LogUnavailableError`` or ``StoreError``: nothing is held, try again.
        """
        membership = self._parts.membership
        if membership is None:
            return bool(self._intakes)
        assignment = membership.poll(_POLL_SECONDS, self._give_up)
        if assignment.number and assignment != self._assignment:
            self._let_go()
            try:
                self._take_over(assignment.partitions)
                membership.commit(self._offsets())
            except FencedError as error:
                _log.info("the partitions are not ours any more: %s", error)
                self._let_go()
                self._parts.stop.wait(_ASK_AGAIN_SECONDS)
                return False
            except BaseException:
                self._let_go()
                raise
            self._assignment = assignment
            self._show_all()
        return bool(assignment.partitions)

    def step(self, reader: Reader, timeout_seconds: float) -> int:
        """Poll once and learn what came; commit when it is time. How many messages came."""
        messages = reader.poll(_POLLED, timeout_seconds)
        self._take(messages, reader)
        self._commit_in_time()
        return len(messages)

    def _commit_in_time(self) -> None:
        if self._parts.clock() - self._committed_at >= self._parts.commit_seconds:
            self.commit()

    def commit(self) -> bool:
        """Write every shard, publish what changed; whether it worked (else it is tried again).

        1. Freeze the state in memory.
        2. Write it to the store under a new name.
        3. Make that name the current one, at once, unless the shard is another's by now; then show
           the shard's models to other learners, if there are any.
        4. Publish changed artifacts, of the models of all shards, as far as the gate lets them.
        5. Commit the offsets to the log, for lag monitoring only.

        A crash before 3 goes on from the checkpoint before; after it, from this one, and what 4
        and 5 did not do is done by the next commit.
        """
        parts, started = self._parts, time.perf_counter()
        self._committed_at = parts.clock()
        if not self._dirty:
            return True
        try:
            written = self._save(show=self._is_shared)
            if parts.publisher is not None:
                self._publish(parts.publisher)
            if parts.membership is not None:
                parts.membership.commit(self._offsets())  # 5
            else:
                parts.log.commit(parts.group, self._offsets())
        except (StoreError, LogUnavailableError) as error:
            _log.warning("could not commit, learning goes on in memory: %s", error)
            return False
        except FencedError as error:
            if parts.membership is None:
                raise
            _log.warning("%s; what was learned of it since is dropped here", error)
            self.fenced += 1
            self._assignment = None  # whatever is ours is taken over anew
            return False
        self._dirty = False
        self.last_commit = LastCommit(parts.clock(), time.perf_counter() - started, written)
        return True

    def _step(self) -> None:
        if not self._intakes:
            return
        if self._reading is None:
            self._reading = self._reader()
        self.step(self._reading, _POLL_SECONDS)

    def _save(self, *, show: bool) -> int:
        """Steps 1 to 3 of a commit; how many bytes were written.

        With ``show`` the other learners are shown the models of what was written. ``FencedError``
        if a shard is another's by now; all that are ours have been written then.
        """
        fenced: FencedError | None = None
        written = 0
        for number, intake in self._intakes.items():
            if not intake.changed:
                continue
            data = checkpoint.encode(intake.shard.state())  # 1
            try:
                self._parts.checkpoints.write(number, data)  # 2, 3
            except FencedError as error:
                fenced = error
                continue
            intake.changed = False
            written += len(data)
            if show:
                self._show(number)
        if fenced is not None:
            raise fenced
        return written

    def _publish(self, publisher: Publisher) -> None:
        """Step 4: publish what all learners have learned, once all have shown it."""
        others = self._others()
        if others is not None:
            publisher.publish(*self.shards.values(), others=others)

    @property
    def _is_shared(self) -> bool:
        """Whether others have some of the partitions."""
        return self._assignment is not None and not self._assignment.is_all

    def _others(self) -> list[ShardModels] | None:
        """The models of others' shards; None as long as one that has some has not shown it."""
        parts, assignment = self._parts, self._assignment
        if parts.shared is None or assignment is None or assignment.is_all:
            return []
        others = [n for n in range(assignment.of) if n not in assignment.partitions]
        found = parts.shared.read_many(others)
        if any(models is None and parts.checkpoints.exists(n) for n, models in found.items()):
            return None
        return [models for models in found.values() if models is not None]

    def _show(self, number: int) -> None:
        """Show the others a shard's models."""
        shard = self._intakes[number].shard
        if self._parts.shared is not None and shard.learner.models:
            self._parts.shared.write(number, shard.positions, shard.learner)

    def _show_all(self) -> None:
        """Show at once what was taken over: nobody else will. What is only ours, is not shown."""
        if self._is_shared:
            for number in self._intakes:
                self._show(number)
        elif self._parts.shared is not None:
            self._parts.shared.forget(self._intakes)

    def _give_up(self) -> None:
        """Write what was learned before the partitions go to others; they go on from there.

        If that fails, they go on from the checkpoint before, and learn the rest again.
        """
        try:
            self._save(show=True)
        except (StoreError, FencedError) as error:
            _log.warning("what was learned since the last checkpoint is given up: %s", error)
        self._assignment = None
        self._intakes = {}

    def _take_over(self, partitions: Iterable[int]) -> None:
        """Hold the shards of these partitions.

        One that cannot be read stops no other, unless they are to be learned to their end.
        """
        found: dict[int, Intake] = {}
        damaged: list[DamagedError] = []
        for number in partitions:
            try:
                found[number] = self._intake(number)
            except DamagedError as error:
                if self._parts.membership is None:
                    raise
                _log.error("partition %d is not learned: %s", number, error)
                damaged.append(error)
        if damaged and not found:
            raise damaged[0]
        self._intakes = found
        self._damage = "; ".join(map(str, damaged))

    def _let_go(self) -> None:
        self._stop_reading()
        self._intakes = {}
        self._assignment = None
        self._dirty = False

    def _stop_reading(self) -> None:
        reader, self._reading = self._reading, None
        if reader is not None:
            reader.close()

    def _intake(self, number: int) -> Intake:
        parts = self._parts
        shard = Shard(number, parts.pool, parts.dead_letter, parts.lateness_seconds, parts.observer)
        state = parts.checkpoints.claim(number)
        if state is not None:
            shard.restore(state)
        else:
            for topic in TOPICS:
                begin = parts.log.begin_offsets(topic)
                shard.positions[topic] = begin[TopicPartition(topic, number)]
        return Intake(shard, parts.log, parts.clock, parts.read)

    def _position(self) -> int:
        """How many messages have been processed or skipped, over all partitions and topics."""
        return sum(sum(shard.positions.values()) for shard in self.shards.values())

    def _process_to(self, ends: Mapping[str, Mapping[TopicPartition, int]], idle: bool) -> bool:
        """Process what came up to these ends; whether all partitions have been read to them."""
        done = [intake.process_to(ends, idle) for intake in self._intakes.values()]
        return all(done)

    def _reader(self) -> Reader:
        ends = {topic: self._parts.log.end_offsets(topic) for topic in TOPICS}
        positions: dict[TopicPartition, int] = {}
        for intake in self._intakes.values():
            positions.update(intake.begin(ends))
        return self._parts.log.reader(positions)

    def _take(self, messages: Sequence[Message], reader: Reader) -> None:
        for message in messages:
            self._intakes[message.partition].add(message)
        try:
            for intake in self._intakes.values():
                intake.process()
                self._dirty = self._dirty or intake.changed
        finally:
            self._balance(reader)

    def _balance(self, reader: Reader) -> None:
        """Read no more of a topic that is far ahead of the other: memory stays bounded."""
        for intake in self._intakes.values():
            for where, waiting in intake.backlog().items():
                if waiting >= _QUEUED:
                    reader.pause([where])
                else:
                    reader.resume([where])

    def _offsets(self) -> dict[TopicPartition, int]:
        return {
            where: offset
            for intake in self._intakes.values()
            for where, offset in intake.offsets().items()
        }
