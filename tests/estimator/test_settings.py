from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from estimator.errors import MisuseError
from estimator.settings import SECRETS, Row, Settings, load, table


def toml(folder: Path, text: str) -> Path:
    path = folder / "wattstream.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "value"), [("export", "28283"), ("low_confidence", "hide"), ("export", "a:b")]
)
def test_settings_of_the_export_that_mean_nothing_are_named(name: str, value: str) -> None:
    with pytest.raises(MisuseError, match=f"'{name}' in the flags is '{value}'"):
        load({name: value}, {})


def test_an_export_without_a_host_is_at_all_addresses() -> None:
    assert Settings(export=":28283").export_address == ("", 28283)


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    config = toml(tmp_path, 'interval = 1.0\nlateness = 1.0\nnode = "file"\n')
    environment = {"WATTSTREAM_LATENESS": "2", "WATTSTREAM_NODE": "environment"}
    found = load({"node": "flag", "data": None}, environment, config)
    assert (found.interval, found.lateness, found.node) == (1.0, 2.0, "flag")
    assert found.data == Settings().data


def test_nothing_given_is_the_defaults() -> None:
    assert load({}, {}) == Settings()


def test_the_environment_is_text_and_settings_have_types() -> None:
    found = load(
        {},
        {
            "WATTSTREAM_PARTITIONS": "12",
            "WATTSTREAM_INTERVAL": "0.5",
            "WATTSTREAM_SOCKET": "/tmp/a.sock, /tmp/b.socket,",
            "WATTSTREAM_EXPERTS": "ridge",
            "WATTSTREAM_STORE": "file:///srv/store",
            "PATH": "/usr/bin",
        },
    )
    assert found.partitions == 12
    assert found.interval == 0.5
    assert found.socket == ("/tmp/a.sock", "/tmp/b.socket")
    assert found.experts == ("ridge",)
    assert found.store_url == "file:///srv/store"


@pytest.mark.parametrize("text", ['socket = ["/a", "/b"]', 'socket = "/a,/b"'])
def test_a_list_in_the_file_may_be_a_list_or_a_text(tmp_path: Path, text: str) -> None:
    assert load({}, {}, toml(tmp_path, text)).socket == ("/a", "/b")


@pytest.mark.parametrize(
    "name",
    [
        "WATTSTREAM_SERVICE_HOST",
        "WATTSTREAM_SERVICE_PORT",
        "WATTSTREAM_SERVICE_PORT_HTTP",
        "WATTSTREAM_PORT",
        "WATTSTREAM_PORT_8100_TCP",
        "WATTSTREAM_PORT_8100_TCP_ADDR",
        "WATTSTREAM_MODEL_SERVER_SERVICE_HOST",
        "WATTSTREAM_MODEL_SERVER_PORT_8100_TCP_PROTO",
        "WATTSTREAM_KAFKA_PORT",
        "WATTSTREAM_METRICS_PORT",
    ],
)
def test_what_kubernetes_says_of_our_services_is_no_setting(name: str) -> None:
    assert load({}, {name: "tcp://10.0.0.1:8100"}) == Settings()


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_the_environment_can_set_every_setting(row: Row) -> None:
    default = getattr(Settings(), row.name)
    value = {str: "0777", int: "9", float: "9.5", tuple: "a"}[type(default)]
    if row.name.endswith("listen") or row.name == "export":
        value = "[::]:9"
    value = {"low_confidence": "disable", "confidence_threshold": "0.5"}.get(row.name, value)
    assert getattr(load({}, {row.environment: value}), row.name) != default


class TestUnknown:
    def test_flag(self) -> None:
        with pytest.raises(MisuseError, match=r"^setting 'speed' in the flags is unknown$"):
            load({"speed": 1}, {})

    def test_environment_with_a_hint(self) -> None:
        match = r"^setting 'intervall' in the environment is unknown; did you mean 'interval'\?$"
        with pytest.raises(MisuseError, match=match):
            load({}, {"WATTSTREAM_INTERVALL": "3"})

    def test_file_by_its_name(self, tmp_path: Path) -> None:
        with pytest.raises(MisuseError, match=r"'loglevel' in .*wattstream\.toml is unknown"):
            load({}, {}, toml(tmp_path, 'loglevel = "info"'))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("interval", "soon", "float"),
        ("interval", "0", "> 0.0"),
        ("interval", "nan", "> 0.0"),
        ("interval", "inf", "<= 3600.0"),
        ("lateness", "-1", ">= 0.0"),
        ("partitions", "2.5", "int"),
        ("partitions", "0", ">= 1"),
        ("listen", "8100", "regex"),
        ("listen", "localhost:", "regex"),
        ("socket_mode", "rw-rw----", "regex"),
        ("data", "", "length >= 1"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_origin(name: str, value: str, reason: str) -> None:
    with pytest.raises(MisuseError) as caught:
        load({}, {f"WATTSTREAM_{name.upper()}": value})
    message = str(caught.value)
    assert message.startswith(f"setting {name!r} in the environment is {value!r}: ")
    assert reason in message
    assert "\n" not in message


def test_a_file_that_is_not_there_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"nowhere\.toml: No such file"):
        load({}, {}, tmp_path / "nowhere.toml")
    with pytest.raises(MisuseError, match=r"wattstream\.toml: .*line 1"):
        load({}, {}, toml(tmp_path, "interval = = 3"))


def test_a_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wattstream.toml"
    path.write_bytes(b'node = "caf\xe9"')
    with pytest.raises(MisuseError, match=r"wattstream\.toml: .*utf-8"):
        load({}, {}, path)


def test_the_table_has_every_setting_and_says_how_it_is_set() -> None:
    rows = table()
    assert [row.name for row in rows] == list(Settings.__struct_fields__)
    for row in rows:
        assert row.environment == f"WATTSTREAM_{row.name.upper()}"
        assert row.help.strip()


def test_the_table_s_defaults_are_the_defaults() -> None:
    environment = {row.environment: row.default for row in table() if row.default}
    assert load({}, environment) == Settings()


@pytest.mark.parametrize(
    ("chosen", "log", "store"),
    [
        ({}, "sqlite:wattstream-data/log.sqlite", "file:wattstream-data/store"),
        ({"data": "/var/lib/w"}, "sqlite:/var/lib/w/log.sqlite", "file:/var/lib/w/store"),
        ({"log": "memory:", "store": "memory:"}, "memory:", "memory:"),
    ],
)
def test_urls_have_defaults_in_the_data_folder(
    chosen: dict[str, Any], log: str, store: str
) -> None:
    settings = load(chosen, {})
    assert (settings.log_url, settings.store_url) == (log, store)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8100", ("127.0.0.1", 8100)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_an_address_is_host_and_port(listen: str, address: tuple[str, int]) -> None:
    assert load({"listen": listen}, {}).address == address


class TestSecrets:
    def test_a_wrong_one_is_named_and_not_shown(self, tmp_path: Path) -> None:
        config = toml(tmp_path, "kafka_password = 20251224")
        with pytest.raises(MisuseError) as caught:
            load({}, {}, config)
        assert str(caught.value) == (
            f"setting 'kafka_password' in {config} is wrong: Expected `str`, got `int`"
        )

    def test_printing_settings_does_not_show_them(self) -> None:
        settings = Settings(
            kafka_username="anna", kafka_password="geheim", kafka_key_password="sesam"
        )
        shown = f"{settings!r} {settings}"
        assert "kafka_username='anna'" in shown
        assert "geheim" not in shown
        assert "sesam" not in shown

    def test_what_is_called_a_password_is_one(self) -> None:
        names = Settings.__struct_fields__
        assert {name for name in names if name.endswith(("password", "token"))} == SECRETS
