from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from estimator.errors import MisuseError
from estimator.settings import Settings
from server.web.token import BearerToken
from tests.server.error_shape import assert_error
from tests.server.training.answers import body
from tests.server.training.conftest import Train
from tests.server.training.conftest import trainer as trainer

RIGHT = {"authorization": "Bearer s3cret"}


@pytest.mark.parametrize(
    "given",
    ["", "s3cret", "Bearer", "Bearer wrong", "Basic s3cret", "Bearer s3cret2", "Bearer é"],
)
def test_without_the_token_nothing_is_trained_or_told(trainer: Train, given: str) -> None:
    client = trainer(token=BearerToken("s3cret"))
    headers = [(b"authorization", given.encode("latin-1"))] if given else []
    refused = client.train(body(), headers=headers)
    assert_error(refused, 401, "authorization", "Bearer")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    for path in ("/jobs/1", "/jobs/1/result"):
        assert_error(client.get(path, headers=headers), 401, "authorization")
    assert_error(client.delete("/jobs/1", headers=headers), 401, "authorization")
    assert client.get("/healthz").status_code == 200
    assert "s3cret" not in refused.text


def test_with_the_token_all_is_as_without_one(trainer: Train) -> None:
    client = trainer(token=BearerToken("s3cret"))
    assert client.train(body(), headers=RIGHT).status_code == 200
    assert client.train(body(), headers={"authorization": "bearer  s3cret"}).status_code == 200


def test_a_token_in_a_file_may_change(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    token = BearerToken(file=str(file))
    token.check(_asking("one"))
    file.write_text("two\n")
    token.check(_asking("two"))
    for gone in (lambda: file.write_text(""), file.unlink):
        gone()
        with pytest.raises(Exception, match="token") as refused:
            token.check(_asking("two"))
        assert getattr(refused.value, "status_code", 0) in (401, 503)


def _asking(token: str) -> HTTPConnection:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return HTTPConnection({"type": "http", "headers": headers})


def test_a_token_that_cannot_be_is_misuse(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for file, why in (("none", "No such file"), ("empty", "it is empty")):
        with pytest.raises(MisuseError, match=why):
            BearerToken(file=str(tmp_path / file))
    with pytest.raises(MisuseError, match="token and token_file"):
        BearerToken.of(Settings(token="a", token_file="b"))
    assert not BearerToken.of(Settings()).is_needed


def test_nothing_needs_a_token_where_there_is_none() -> None:
    BearerToken().check(HTTPConnection({"type": "http", "headers": []}))


def test_another_sites_page_trains_nothing(trainer: Train) -> None:
    refused = trainer().train(body(), headers={"origin": "http://evil.example"})
    assert_error(refused, 403, "evil.example")
