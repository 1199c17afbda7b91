"""Our types of the OCPP 1.6 messages against the published JSON schemas, both ways."""

import json
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from forecourt_protocols.ocpp.framing import Call, CallResult, ErrorCode, Violation
from forecourt_protocols.ocpp.v16 import messages as m
from forecourt_protocols.ocpp.v16.actions import (
    ACTIONS,
    NOT_SERVED,
    Asker,
    answer_of,
    call,
    parse,
    request_of,
    result,
)
from forecourt_protocols.ocpp.v16.types import ResetStatus, ResetType

PUBLISHED = resources.files("ocpp") / "v16" / "schemas"
# Remote Smart Charging is not played: a profile in RemoteStartTransaction is refused.
LEFT_OUT = {("RemoteStartTransaction", "chargingProfile")}
KINDS = [
    pytest.param(name, kind, schema, id=schema)
    for name, action in ACTIONS.items()
    for kind, schema in ((action.request, name), (action.answer, f"{name}Response"))
]


def published(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PUBLISHED / f"{name}.json").read_text("utf-8-sig"))
    return loaded


def plain(schema: Any, defs: dict[str, Any]) -> Any:
    """A schema of ours with its references written out, and without names."""
    if isinstance(schema, list):
        return [plain(each, defs) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return plain(defs[schema["$ref"].rsplit("/", 1)[1]], defs)
    return {key: plain(value, defs) for key, value in schema.items() if key not in {"title", "description"}}


def agree(ours: Any, theirs: dict[str, Any], path: tuple[str, ...]) -> None:
    """The same fields, the same required ones, the same enumerations and lengths, all the way down."""
    if theirs.get("type") == "object":
        fields = {name for name in theirs.get("properties", {}) if (path[0], name) not in LEFT_OUT}
        assert set(ours.get("properties", {})) == fields, path
        assert set(ours.get("required", [])) == set(theirs.get("required", [])), path
        assert ours["additionalProperties"] is False, path
        for name in fields:
            agree(ours["properties"][name], theirs["properties"][name], (*path, name))
    elif theirs.get("type") == "array":
        agree(ours["items"], theirs["items"], (*path, "[]"))
    elif "enum" in theirs:
        assert set(theirs["enum"]) <= set(ours["enum"]), path
    else:
        assert ours["type"] == theirs["type"], path
        if "maxLength" in theirs:
            assert ours["maxLength"] == theirs["maxLength"], path


@pytest.mark.parametrize(("name", "kind", "schema"), KINDS)
class TestAgainstThePublishedSchemas:
    def test_fields_lengths_and_enumerations_are_the_same(
        self, name: str, kind: type[m.Message], schema: str
    ) -> None:
        (ours,), defs = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
        agree(plain(ours, defs), published(schema), (name,))

    @settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data())
    def test_all_that_the_schema_allows_is_read_and_written_again(
        self, name: str, kind: type[m.Message], schema: str, data: st.DataObject
    ) -> None:
        validator = Draft4Validator(published(schema))
        drawn = data.draw(allowed(published(schema), (name,)))
        validator.validate(drawn)
        message = parse(json.dumps(drawn).encode(), kind)
        written = json.loads(msgspec.json.encode(message))
        validator.validate(written)
        assert parse(json.dumps(written).encode(), kind) == message
        assert _without_times(written, published(schema)) == _without_times(drawn, published(schema))


def allowed(schema: dict[str, Any], path: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Payloads that a published schema allows, within our limits on numbers and lists."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object":
            fields = {
                name: allowed(each, (*path, name))
                for name, each in schema.get("properties", {}).items()
                if (path[0], name) not in LEFT_OUT
            }
            required = {name: fields.pop(name) for name in schema.get("required", [])}
            return st.fixed_dictionaries(required, optional=fields)
        case "array":
            return st.lists(allowed(schema["items"], (*path, "[]")), min_size=1, max_size=2)
        case "integer":
            return st.integers(0, 2**31 - 1)
        case "boolean":
            return st.booleans()
    if schema.get("format") == "date-time":
        moments = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))
        return moments.map(datetime.isoformat)
    return st.text(max_size=schema.get("maxLength", 60))


def _without_times(value: Any, schema: dict[str, Any]) -> Any:
    if schema.get("type") == "object":
        properties = schema["properties"]
        return {name: _without_times(each, properties[name]) for name, each in value.items()}
    if schema.get("type") == "array":
        return [_without_times(each, schema["items"]) for each in value]
    return None if schema.get("format") == "date-time" else value


def test_every_action_of_the_published_set_is_served_or_named_as_not_served() -> None:
    names = {path.name.removesuffix(".json") for path in PUBLISHED.iterdir() if "Response" not in path.name}
    assert set(ACTIONS) | NOT_SERVED == names
    assert not set(ACTIONS) & NOT_SERVED


class TestRefused:
    @pytest.mark.parametrize(
        ("action", "payload", "code"),
        [
            ("Heartbeet", "{}", ErrorCode.NOT_IMPLEMENTED),
            ("ReserveNow", "{}", ErrorCode.NOT_SUPPORTED),
            ("Reset", '{"type":"Hard"}', ErrorCode.NOT_SUPPORTED),
            ("Authorize", "{}", ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
            ("Authorize", '{"idTag":7}', ErrorCode.TYPE_CONSTRAINT_VIOLATION),
            ("Authorize", '{"idTag":null}', ErrorCode.TYPE_CONSTRAINT_VIOLATION),
            ("Authorize", '{"idTag":"123456789012345678901"}', ErrorCode.PROPERTY_CONSTRAINT_VIOLATION),
            ("Authorize", '{"idTag":"1","more":1}', ErrorCode.FORMATION_VIOLATION),
            ("FirmwareStatusNotification", '{"status":"Lost"}', ErrorCode.PROPERTY_CONSTRAINT_VIOLATION),
            (
                "StartTransaction",
                '{"connectorId":1,"idTag":"A","meterStart":1.5,"timestamp":"2026-01-01T00:00:00Z"}',
                ErrorCode.TYPE_CONSTRAINT_VIOLATION,
            ),
            (
                "StartTransaction",
                '{"connectorId":-1,"idTag":"A","meterStart":1,"timestamp":"2026-01-01T00:00:00Z"}',
                ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            ),
            (
                "StartTransaction",
                '{"connectorId":1,"idTag":"A","meterStart":1,"timestamp":"0001-01-01T00:00:00+10:00"}',
                ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            ),
            (
                "StartTransaction",
                '{"connectorId":1,"idTag":"A","meterStart":1,"timestamp":"yesterday"}',
                ErrorCode.TYPE_CONSTRAINT_VIOLATION,
            ),
            ("StopTransaction", '{"transactionId":1' + "0" * 5000 + "}", ErrorCode.TYPE_CONSTRAINT_VIOLATION),
        ],
    )
    def test_each_fault_has_the_code_that_the_protocol_gives_it(
        self, action: str, payload: str, code: ErrorCode
    ) -> None:
        with pytest.raises(Violation) as refused:
            request_of(Call("17", action, payload.encode()), Asker.CHARGE_POINT)
        assert refused.value.code is code
        assert refused.value.unique_id == "17"

    def test_an_answer_of_the_wrong_form_is_refused_as_well(self) -> None:
        asked = call("5", m.Reset(type=ResetType.SOFT))
        assert answer_of(asked, result("5", m.ResetResponse(status=ResetStatus.ACCEPTED)))
        with pytest.raises(Violation):
            answer_of(asked, CallResult("5", b'{"status":"Maybe"}'))


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "utc"),
        [
            ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
            ("2026-11-22T18:00:00+08:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
            ("2026-11-22T10:00:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
            ("2026-11-22T10:00:00.250Z", datetime(2026, 11, 22, 10, 0, 0, 250_000, tzinfo=UTC)),
        ],
    )
    def test_every_time_leaves_the_decoder_in_utc(self, text: str, utc: datetime) -> None:
        read = parse(json.dumps({"currentTime": text}).encode(), m.HeartbeatResponse)
        assert read.current_time == utc
        assert read.current_time.tzinfo is UTC or read.current_time.utcoffset() == utc.utcoffset()
