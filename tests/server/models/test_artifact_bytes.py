from __future__ import annotations

import asyncio

from server.models.artifact_bytes import ArtifactBytes


def test_those_asked_for_last_are_kept_up_to_the_bound() -> None:
    reads: list[str] = []

    def read(digest: str) -> bytes:
        reads.append(digest)
        return digest.encode() * 40

    async def scenario() -> None:
        artifacts = ArtifactBytes(read, bound=100)
        for digest in ("a", "b", "a", "c", "a", "b"):
            assert await artifacts.get(digest) == digest.encode() * 40

    asyncio.run(scenario())
    assert reads == ["a", "b", "c", "b"]


def test_what_is_larger_than_all_that_may_be_kept_is_passed_on() -> None:
    reads: list[str] = []

    def read(digest: str) -> bytes:
        reads.append(digest)
        return b"x" * (200 if digest == "large" else 10)

    async def scenario() -> None:
        artifacts = ArtifactBytes(read, bound=100)
        for digest in ("small", "large", "large", "small"):
            await artifacts.get(digest)

    asyncio.run(scenario())
    assert reads == ["small", "large", "large"]
