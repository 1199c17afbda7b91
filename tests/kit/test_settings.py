import pickle
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from forecourt_kit.settings import Secret, SettingsError, describe, load, setting, unknown_names


class Bus(StrEnum):
    EMBEDDED = "embedded"
    AMQP = "amqp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    session_key: Secret = setting(doc="Signs sessions.")
    database_url: str = setting("sqlite:///x", doc="Where rows live.")
    port: int = setting(8000, doc="TCP port.", at_least=1, at_most=65535)
    demo: bool = setting(default=False, doc="Demo data.")
    bus: Bus = setting(Bus.EMBEDDED, doc="Which bus.")
    peers: tuple[str, ...] = setting((), doc="Other hosts.")
    ports: tuple[int, ...] = setting((1, 2), doc="More ports.")
    data_dir: Path | None = setting(None, doc="Where files live.")
    smtp_password: Secret | None = setting(None, doc="Mail.")


ENV = {"FORECOURT_SESSION_KEY": "hush-hush"}


def test_defaults_hold_where_nothing_is_given() -> None:
    loaded = load(Example, ENV)
    assert (loaded.port, loaded.demo, loaded.bus, loaded.ports) == (8000, False, Bus.EMBEDDED, (1, 2))
    assert loaded.session_key.reveal() == "hush-hush"


def test_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "forecourt.toml"
    file.write_text('port = 1\ndemo = true\npeers = ["a", "b"]\ndata_dir = "/data"\nbus = "amqp"\n')
    loaded = load(Example, ENV | {"FORECOURT_PORT": "2"}, file)
    assert (loaded.port, loaded.demo, loaded.peers) == (2, True, ("a", "b"))
    assert (loaded.data_dir, loaded.bus) == (Path("/data"), Bus.AMQP)


def test_every_type_is_read_from_text() -> None:
    env = ENV | {
        "FORECOURT_DEMO": "On",
        "FORECOURT_BUS": "amqp",
        "FORECOURT_PEERS": "a, b,,",
        "FORECOURT_PORTS": "3,4",
        "FORECOURT_DATA_DIR": "",
    }
    loaded = load(Example, env)
    assert (loaded.demo, loaded.bus, loaded.peers, loaded.ports) == (True, Bus.AMQP, ("a", "b"), (3, 4))
    assert loaded.data_dir is None


def test_all_that_is_wrong_is_told_at_once_and_no_value_with_it(tmp_path: Path) -> None:
    file = tmp_path / "forecourt.toml"
    file.write_text('prot = 1\nsmtp_password = 12345678\nports = "x"')
    env = {"FORECOURT_PORT": "70000", "FORECOURT_DEMO": "perhaps", "FORECOURT_BUS": "kafka"}
    with pytest.raises(SettingsError) as error:
        load(Example, env, file)
    told = str(error.value)
    for name in ("PORT", "DEMO", "BUS", "SESSION_KEY is not set: Signs sessions.", "prot", "PORTS", "SMTP"):
        assert name in told
    assert len(error.value.wrong) == 7
    assert "12345678" not in told


@pytest.mark.parametrize("bad", ["1.0", "1e3", "", " 1", "٣", "0x10", "9" * 30, "--1"])
def test_whole_numbers_are_plain_digits(bad: str) -> None:
    with pytest.raises(SettingsError, match="FORECOURT_PORT"):
        load(Example, ENV | {"FORECOURT_PORT": bad})


def test_a_secret_may_come_from_a_file_and_nothing_else_may(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\n")
    loaded = load(Example, {"FORECOURT_SESSION_KEY_FILE": str(file)})
    assert loaded.session_key == Secret("from-file")
    with pytest.raises(SettingsError, match="only a secret"):
        load(Example, ENV | {"FORECOURT_PORT_FILE": str(file)})
    with pytest.raises(SettingsError, match="SESSION_KEY"):
        load(Example, {"FORECOURT_SESSION_KEY_FILE": str(tmp_path / "absent")})


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b'session_key = "top-secret\n', b"#" * 300_000])
def test_an_unreadable_file_is_told_without_its_content(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "forecourt.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="not readable") as error:
        load(Example, ENV, file)
    assert "top-secret" not in str(error.value)


def test_a_missing_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(Example, ENV, tmp_path / "absent.toml")


def test_every_setting_explains_itself() -> None:
    told = {one.name: one for one in describe(Example)}
    assert list(told)[:2] == ["session_key", "database_url"]
    assert told["port"].env == "FORECOURT_PORT"
    assert (told["port"].default, told["session_key"].default, told["ports"].default) == ("8000", None, "1,2")
    assert told["bus"].type_name == "embedded | amqp"
    with pytest.raises(ValueError, match="what it is for"):
        setting(1, doc=" ")


def test_a_field_without_documentation_is_a_bug() -> None:
    @dataclass(frozen=True)
    class Bare:
        port: int = 1

    with pytest.raises(TypeError, match=r"Bare\.port"):
        load(Bare, {})


def test_misspelt_names_are_found() -> None:
    env = ENV | {"FORECOURT_PROT": "1", "FORECOURT_SESSION_KEY_FILE": "x", "HOME": "/"}
    assert unknown_names(Example, env) == ["FORECOURT_PROT"]


class TestSecret:
    def test_shows_itself_nowhere(self) -> None:
        secret = Secret("hush-hush")
        shown = [repr(secret), str(secret), f"{secret}", f"{secret:>10}", repr([secret]), repr({"k": secret})]
        assert not any("hush" in text for text in shown)
        assert str(secret) == "***"
        assert repr(load(Example, ENV)).count("hush") == 0

    def test_is_not_pickled(self) -> None:
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(Secret("x"))

    def test_compares_by_value(self) -> None:
        assert Secret("a") == Secret("a")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a")}) == 1
        assert not Secret("")
