"""Settings: a frozen dataclass whose fields explain themselves, filled from environment and one TOML file.

The environment wins over the file, the file over the default. The name of a field `database_url` is
FORECOURT_DATABASE_URL in the environment and `database_url` in the file. A Secret may also come from a file
whose path is in FORECOURT_<NAME>_FILE, as container platforms hand secrets over.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from forecourt_kit.limits import SETTINGS_FILE_BYTES_MAX
from forecourt_kit.secret import Secret

__all__ = ["PREFIX", "Secret", "SettingDoc", "SettingsError", "describe", "load", "setting", "unknown_names"]

PREFIX = "FORECOURT_"
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

Value = TypeVar("Value")
Loaded = TypeVar("Loaded")


class SettingsError(ValueError):
    """Every setting that is wrong, at once; it never holds a value, as a value may be a secret."""

    def __init__(self, wrong: list[str]) -> None:
        super().__init__("settings are wrong:\n" + "\n".join(f"  - {line}" for line in wrong))
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One setting, for the reference page."""

    name: str
    env: str
    type_name: str
    default: str | None
    doc: str


@overload
def setting(*, doc: str, at_least: int | None = None, at_most: int | None = None) -> Any: ...
@overload
def setting(
    default: Value, *, doc: str, at_least: int | None = None, at_most: int | None = None
) -> Value: ...
def setting(
    default: Any = MISSING, *, doc: str, at_least: int | None = None, at_most: int | None = None
) -> Any:
    """Declare one setting in a frozen, keyword-only dataclass; without a default it must be given."""
    if not doc.strip():
        raise ValueError("every setting says what it is for")
    metadata = {"doc": doc, "at_least": at_least, "at_most": at_most}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def load(cls: type[Loaded], env: Mapping[str, str], toml_path: Path | None = None) -> Loaded:
    """Fill the settings class.

    Raises:
        SettingsError: names each setting that is missing, of the wrong type, out of its bounds, or unknown
            in the file. Unknown names in the environment are `unknown_names`: other programs may own them.
    """
    wrong: list[str] = []
    in_file = _read_toml(toml_path, wrong) if toml_path is not None else {}
    declared = {one.name: one for one in _fields(cls)}
    wrong += [
        f"{name}: no such setting (in {toml_path})" for name in sorted(in_file.keys() - declared.keys())
    ]
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, one in declared.items():
        try:
            found, raw = _find(name, hints[name], env, in_file)
            if found:
                values[name] = _bounded(_convert(hints[name], raw), one)
            elif one.default is MISSING and one.default_factory is MISSING:
                wrong.append(f"{_env_name(name)} is not set: {one.metadata['doc']}")
        except (TypeError, ValueError, OSError) as why:
            wrong.append(f"{_env_name(name)}: {why}")
    if wrong:
        raise SettingsError(wrong)
    return cls(**values)


def describe(cls: type[object]) -> list[SettingDoc]:
    """Every setting with its documentation, in the order of declaration."""
    hints = get_type_hints(cls)
    return [
        SettingDoc(
            name=one.name,
            env=_env_name(one.name),
            type_name=_type_name(hints[one.name]),
            default=None if one.default is MISSING else _default_text(one.default),
            doc=one.metadata["doc"],
        )
        for one in _fields(cls)
    ]


def unknown_names(cls: type[object], env: Mapping[str, str]) -> list[str]:
    """Names with our prefix that no setting has: most often a misspelling, worth a warning at start."""
    known = {_env_name(one.name) for one in _fields(cls)}
    known |= {f"{name}_FILE" for name in known}
    return sorted(name for name in env if name.startswith(PREFIX) and name not in known)


def _fields(cls: type[Any]) -> tuple[Field[Any], ...]:
    declared = fields(cls)
    for one in declared:
        if "doc" not in one.metadata:
            raise TypeError(f"{cls.__name__}.{one.name} is not declared with setting(..., doc=...)")
    return declared


def _env_name(name: str) -> str:
    return PREFIX + name.upper()


def _read_toml(path: Path, wrong: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(_read_small(path))
    except (OSError, ValueError) as why:  # tomllib's error may quote the file, and the file may hold secrets.
        wrong.append(f"{path}: {why.strerror if isinstance(why, OSError) else 'is not readable as TOML'}")
        return {}


def _read_small(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(SETTINGS_FILE_BYTES_MAX + 1)
    if len(data) > SETTINGS_FILE_BYTES_MAX:
        raise ValueError(f"{path} is larger than {SETTINGS_FILE_BYTES_MAX} bytes")
    return data.decode("utf-8")


def _find(name: str, hint: Any, env: Mapping[str, str], in_file: Mapping[str, Any]) -> tuple[bool, Any]:
    env_name = _env_name(name)
    if env_name in env:
        return True, env[env_name]
    if f"{env_name}_FILE" in env:
        if Secret not in (hint, *get_args(hint)):
            raise ValueError("only a secret is read from a _FILE")
        return True, _read_small(Path(env[f"{env_name}_FILE"])).rstrip("\r\n")
    return name in in_file, in_file.get(name)


def _convert(hint: Any, raw: Any) -> Any:
    """A value of the declared type from text of the environment or a value of TOML."""
    if get_origin(hint) in (UnionType, Union):
        inner = [one for one in get_args(hint) if one is not NoneType]
        return None if raw == "" else _convert(inner[0], raw)
    if get_origin(hint) is tuple:
        items = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        if not isinstance(items, list):
            raise ValueError("expected a list (in the environment: separated by commas)")
        return tuple(_convert(get_args(hint)[0], item) for item in items)
    if isinstance(hint, type) and issubclass(hint, Enum):
        allowed = [one.value for one in hint]
        if raw not in allowed:
            raise ValueError(f"expected one of {', '.join(map(str, allowed))}")
        return hint(raw)
    convert = CONVERTERS.get(hint)
    if convert is None:
        raise TypeError(f"settings of type {_type_name(hint)} are not supported")
    return convert(raw)


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError("expected text")  # noqa: TRY004  (A wrong value, not a wrong call.)
    return raw


def _int(raw: Any) -> int:
    if isinstance(raw, str) and raw.isascii() and len(raw) <= 20 and raw.removeprefix("-").isdigit():
        return int(raw)
    if type(raw) is not int:
        raise ValueError("expected a whole number")
    return raw


def _bool(raw: Any) -> bool:
    if isinstance(raw, str) and raw.lower() in TRUE + FALSE:
        return raw.lower() in TRUE
    if type(raw) is not bool:
        raise ValueError(f"expected one of {', '.join(TRUE + FALSE)}")
    return raw


CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _int,
    bool: _bool,
    Path: lambda raw: Path(_text(raw)),
    Secret: lambda raw: Secret(_text(raw)),
}


def _bounded(value: Any, one: Field[Any]) -> Any:
    if type(value) is int:
        low, high = one.metadata["at_least"], one.metadata["at_most"]
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(
                f"expected {'' if low is None else low}..{'' if high is None else high}, got {value}"
            )
    return value


def _type_name(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " | ".join(str(one.value) for one in hint)
    return (
        hint.__name__
        if isinstance(hint, type) and get_origin(hint) is None
        else str(hint).replace("typing.", "")
    )


def _default_text(default: object) -> str:
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default)
