from dataclasses import fields
from pathlib import Path

import pytest

from forecourt.core.settings import Settings, address_of, load_settings, refuse_embedded
from forecourt_kit.settings import SettingDoc, SettingsError, describe

PAGE = Path(__file__).parents[2] / "docs/reference/settings.md"


class TestReference:
    @pytest.mark.parametrize("each", describe(Settings), ids=lambda each: each.env)
    def test_every_setting_is_on_the_page_with_its_default(self, each: SettingDoc) -> None:
        rows = PAGE.read_text(encoding="utf-8").splitlines()
        (row,) = [row for row in rows if row.startswith(f"| `{each.env}` |")]
        assert each.doc in row
        assert f"`{each.default}`" in row or not each.default

    def test_the_page_has_no_setting_that_is_gone(self) -> None:
        named = {
            line.split("`")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if "| `F" in line
        }
        assert named == {each.env for each in describe(Settings)}


class TestSettings:
    def test_without_anything_it_is_one_process_on_this_machine_alone(self) -> None:
        settings = load_settings({})
        assert settings.database.startswith("sqlite:////")
        assert (settings.bus_url, settings.cache_url) == ("embedded", "memory")
        for address in (settings.http, settings.slp, settings.devices):
            assert address_of(address)[0] == "127.0.0.1"

    def test_the_environment_wins_over_the_file_and_the_command_line_over_both(self, tmp_path: Path) -> None:
        file = tmp_path / "forecourt.toml"
        file.write_text('http = "127.0.0.1:1"\nslp = "127.0.0.1:2"\ndevices = "127.0.0.1:3"')
        env = {"FORECOURT_SLP": "127.0.0.1:20", "FORECOURT_DEVICES": "127.0.0.1:30"}
        settings = load_settings(env, file, devices="127.0.0.1:300")
        assert (settings.http, settings.slp, settings.devices) == (
            "127.0.0.1:1",
            "127.0.0.1:20",
            "127.0.0.1:300",
        )

    def test_everything_that_is_wrong_is_told_at_once_and_no_secret_with_it(self) -> None:
        env = {"FORECOURT_NODE": "-1", "FORECOURT_ASK_EVERY_S": "soon", "FORECOURT_MASTER_KEY": "s3cret"}
        with pytest.raises(SettingsError) as raised:
            load_settings(env)
        assert "FORECOURT_NODE" in str(raised.value)
        assert "FORECOURT_ASK_EVERY_S" in str(raised.value)
        assert "s3cret" not in str(raised.value)
        assert "s3cret" not in repr(load_settings({"FORECOURT_MASTER_KEY": "s3cret"}))

    def test_no_secret_has_a_default(self) -> None:
        for each in fields(Settings):
            if each.type in {"Secret", "forecourt_kit.secret.Secret"} or "key" in each.name:
                assert not each.default

    def test_separate_processes_refuse_the_bus_inside_one(self) -> None:
        with pytest.raises(SettingsError, match="forecourt worker"):
            refuse_embedded(load_settings({}), "worker")
        refuse_embedded(load_settings({"FORECOURT_BUS_URL": "amqp://localhost/"}), "worker")


class TestAddressOf:
    @pytest.mark.parametrize(
        ("text", "address"),
        [("127.0.0.1:8000", ("127.0.0.1", 8000)), ("[::1]:0", ("::1", 0)), ("host:65535", ("host", 65_535))],
    )
    def test_host_and_port(self, text: str, address: tuple[str, int]) -> None:
        assert address_of(text) == address

    @pytest.mark.parametrize("text", ["", "localhost", "host:", "host:65536", "host:-1", "host:x"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(SettingsError):
            address_of(text)
