"""Every setting of the centre; docs/reference/settings.md tells the same, and a test holds them together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forecourt_kit.secret import Secret
from forecourt_kit.settings import SettingsError, load, setting

EMBEDDED = "embedded"
MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Read once at start: environment FORECOURT_<NAME>, then forecourt.toml, then these defaults."""

    data_dir: Path = setting(Path(".data"), doc="Folder of everything that must survive a restart.")
    database_url: str = setting(
        "",
        doc="sqlite:///PATH, mysql://USER:PASSWORD@HOST/DB or postgresql://USER:PASSWORD@HOST/DB. "
        "Empty: SQLite in data_dir.",
    )
    bus_url: str = setting(
        EMBEDDED, doc="embedded (one process only) or amqp://USER:PASSWORD@HOST/VHOST for RabbitMQ."
    )
    cache_url: str = setting(MEMORY, doc="memory, or redis://HOST:PORT/DB in front of which memory stands.")
    namespace: str = setting(
        "forecourt", doc="Prefix of every queue, exchange and key, so that installations may share a service."
    )
    http: str = setting("127.0.0.1:8000", doc="HOST:PORT of the API and the screens.")
    slp: str = setting("127.0.0.1:7100", doc="HOST:PORT of SLP/1 for station agents, UDP and TCP.")
    devices: str = setting(
        "127.0.0.1:7180", doc="HOST:PORT of device protocols over HTTP and WebSocket (OCPP)."
    )
    public_url: str = setting(
        "http://127.0.0.1:8000",
        doc="How browsers and payment channels reach the API; notifications are asked for under it.",
    )
    master_key: Secret = setting(
        Secret(""),
        doc="64 hexadecimal digits that seal device keys and telephone numbers. "
        "Empty: a file in data_dir, made at first start (mode 0600).",
    )
    wechat_merchant_file: str = setting(
        "", doc="Path of the WeChat Pay merchant file; empty: WeChat Pay is not offered."
    )
    wechat_operator: str = setting(
        "", doc="Public id of the operator whose merchant it is; empty: the first operator."
    )
    native_expires_s: int = setting(
        300, doc="How long a payer may scan a QR, in seconds.", at_least=60, at_most=7_200
    )
    code_reverse_after_s: int = setting(
        45,
        doc="When an unclear code payment is reversed, in seconds; WeChat Pay asks for 15 at least.",
        at_least=15,
        at_most=120,
    )
    ask_every_s: int = setting(
        5, doc="How often a channel is asked about an open payment, in seconds.", at_least=1, at_most=60
    )
    log_level: str = setting("INFO", doc="DEBUG, INFO, WARNING or ERROR.")
    node: int = setting(
        0,
        doc="Number of this process among all that share the database (0: drawn at random); "
        "no two ids are equal while no two nodes are.",
        at_least=0,
        at_most=65_535,
    )

    @property
    def database(self) -> str:
        """The database URL, or that of the embedded default."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'forecourt.db').absolute()}"


def load_settings(env: Mapping[str, str], file: Path | None = None, **overrides: object) -> Settings:
    """Raises `SettingsError`, naming every setting that is wrong."""
    given = {**env, **{f"FORECOURT_{name.upper()}": str(value) for name, value in overrides.items()}}
    return load(Settings, given, file)


def refuse_embedded(settings: Settings, process: str) -> None:
    """Separate processes cannot share a bus that lives inside one. Raises `SettingsError`."""
    if settings.bus_url == EMBEDDED:
        raise SettingsError(
            [
                (
                    f"FORECOURT_BUS_URL: `forecourt {process}` runs beside others and needs RabbitMQ "
                    "(amqp://…); for one process use `forecourt up`"
                )
            ]
        )


def address_of(text: str) -> tuple[str, int]:
    """`HOST:PORT`; `[::1]:8000` for IPv6. Raises `SettingsError`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise SettingsError([f"{text!r} is not HOST:PORT"])
    return host.strip("[]"), int(port)
