from __future__ import annotations

from msgspec.structs import replace

from estimator.errors import StoreError
from tests.server.conftest import Serve
from tests.server.error_shape import assert_error
from tests.server.fakes import AT, make_entry


def test_the_list_has_everything_of_a_model(serve: Serve) -> None:
    entry = make_entry(mae=1.5, number=3)
    rows = serve(entry).get("/models").json()
    assert len(rows) == 1
    row = rows[0]
    assert row["key"] == {
        "node_type": "intel_xeon_gold_6130-64c-2s-188g-2100m",
        "source": "rapl-sysfs",
        "output_type": "AbsPower",
        "feature_group": "BPFOnly",
    }
    assert row["slug"] == entry.manifest.key.slug
    assert row["digest"] == entry.digest
    assert row["number"] == 3
    assert (row["samples"], row["at"], row["since"]) == (1000, AT, AT - 3_600_000)
    assert row["features"] == ["bpf_cpu_time_ms", "bpf_page_cache_hit"]
    assert row["errors"]["package"]["60"]["mae"] == 3.0
    assert row["errors"]["package"]["0"]["r2"] is None
    assert row["machine"]["cores"] == 64
    assert row["versions"] == [{"digest": entry.digest, "at": AT, "samples": 1000, "held": False}]
    assert (row["pinned"], row["held"], row["held_back"], row["rollbacks"]) == (False, False, 0, {})


def test_the_list_says_what_is_held_and_pinned(serve: Serve) -> None:
    entry = make_entry()
    client = serve(entry)
    before = client.get("/models")
    slug = entry.manifest.key.slug
    held = replace(client.catalog.indexes[slug], held_since=AT, held_back=7, rollbacks={"worse": 1})
    client.catalog.indexes = {slug: held}
    client.models.changed = {slug: held}
    (row,) = client.get("/models", headers={"if-none-match": before.headers["etag"]}).json()
    assert (row["pinned"], row["held"], row["held_back"]) == (False, True, 7)
    assert row["rollbacks"] == {"worse": 1}


def test_no_models_are_an_empty_list(serve: Serve) -> None:
    response = serve().get("/models")
    assert (response.status_code, response.json()) == (200, [])


def test_the_list_is_not_sent_again_until_a_model_changes(serve: Serve) -> None:
    client = serve(make_entry())
    tag = client.get("/models").headers["etag"]
    again = client.get("/models", headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    client.catalog.entries = (make_entry(samples=1001),)
    changed = client.get("/models", headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_without_the_store_the_list_lacks_versions_and_has_them_again_later(serve: Serve) -> None:
    client = serve(make_entry())
    client.models.failure = StoreError("store file:///gone cannot be read")
    assert client.get("/models").json()[0]["versions"] is None
    client.models.failure = None
    assert len(client.get("/models").json()[0]["versions"]) == 1


def test_an_artifact_comes_with_its_digest_as_tag(serve: Serve) -> None:
    entry = make_entry()
    client = serve(entry)
    response = client.get(f"/artifacts/{entry.digest}")
    assert response.content == b"PK the bytes of " + entry.digest.encode()
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["etag"] == f'"{entry.digest}"'
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-disposition"].startswith("attachment; filename=")


def test_an_artifact_that_the_client_has_is_not_even_read(serve: Serve) -> None:
    entry = make_entry()
    client = serve(entry)
    for given in (f'"{entry.digest}"', f'W/"{entry.digest}"', f'"x", "{entry.digest}"', "*"):
        response = client.get(f"/artifacts/{entry.digest}", headers={"if-none-match": given})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == f'"{entry.digest}"'
    assert client.models.reads == []


def test_another_tag_does_not_spare_the_artifact(serve: Serve) -> None:
    entry = make_entry()
    headers = {"if-none-match": f'"{entry.digest[:-1]}", "other"'}
    response = serve(entry).get(f"/artifacts/{entry.digest}", headers=headers)
    assert response.status_code == 200


def test_an_artifact_is_read_once(serve: Serve) -> None:
    entry = make_entry()
    client = serve(entry)
    bodies = {client.get(f"/artifacts/{entry.digest}").content for _ in range(3)}
    assert len(bodies) == 1
    assert client.models.reads == [entry.digest]


def test_head_sends_no_body(serve: Serve) -> None:
    entry = make_entry()
    response = serve(entry).head(f"/artifacts/{entry.digest}")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0


def test_what_is_no_digest_never_reaches_the_store(serve: Serve) -> None:
    client = serve(make_entry())
    for digest in ("%2e%2e", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "%0a"):
        response = client.get(f"/artifacts/{digest}")
        assert response.status_code in (400, 404)
    assert_error(client.get("/artifacts/latest"), 400, "digest", "latest")
    assert client.models.reads == []


def test_an_unknown_digest_is_not_found(serve: Serve) -> None:
    assert_error(serve(make_entry()).get("/artifacts/" + "0" * 64), 404, "0" * 64)
