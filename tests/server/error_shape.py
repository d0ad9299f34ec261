"""What every error of the server looks like, said once."""

from __future__ import annotations

from typing import Any

import httpx


def assert_error(response: httpx.Response, status: int, *named: str) -> dict[str, Any]:
    """The answer is an error of our shape, and its sentence names what it should."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    assert answer["status"] == status
    sentence = answer["error"]
    assert sentence, answer
    assert "\n" not in sentence
    for one in named:
        assert one in sentence, sentence
    return answer
