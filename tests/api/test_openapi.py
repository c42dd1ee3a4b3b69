from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from flask import Flask

from jobserver.api.framework import errors, openapi
from jobserver.app import BLUEPRINTS
from jobserver.jobs.job import PRIVATE, READ_FIELDS, SERVER_FIELDS, State
from jobserver.web.pages import ROOT

Document = dict[str, Any]


@pytest.fixture
def document(client: httpx.Client) -> Document:
    found: Document = client.get("/openapi.json").json()
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_it_lists_every_route(document: Document) -> None:
    app = Flask(__name__, static_folder=None)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    errors.register(app)
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(f"{ROOT}/")
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes


def test_every_operation_is_documented_in_full(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for path, method, operation in operations(document):
        assert operation["summary"].endswith("."), (path, method)
        assert min(operation["responses"]) < "300"
        assert {"400", "403", "503"} <= operation["responses"].keys()
        assert all(answer["description"] for answer in operation["responses"].values())
        parameters = {(entry["in"], entry["name"]) for entry in operation["parameters"]}
        assert {name for where, name in parameters if where == "path"} == set(
            re.findall(r"{(\w+)}", path)
        )
        if method in {"GET", "DELETE"}:
            assert "requestBody" not in operation


def test_tags_and_parameters_are_described(document: Document) -> None:
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert operation["description"], (path, method)
        assert all(tags[name] for name in operation["tags"]), (path, method)
        for parameter in operation["parameters"]:
            assert parameter["description"].endswith("."), (path, method, parameter["name"])
    assert {name for _, _, one in operations(document) for name in one["tags"]} == set(tags)


def test_only_methods_of_the_same_view_are_named_by_their_method(document: Document) -> None:
    names = {operation["operationId"] for _, _, operation in operations(document)}
    assert {"create_job", "read_job", "change_job", "run_job_get", "run_job_post"} <= names


@pytest.mark.parametrize("login", [True, False])
def test_public_operations_need_no_security(login: bool) -> None:
    found = openapi.document(login=login)
    secured = {path for path, _, operation in operations(found) if operation["security"]}
    assert ("/job" in secured) is login
    assert secured.isdisjoint({"/", "/info", "/login", "/user", "/openapi.json"})
    assert ("securitySchemes" in found["components"]) is login


def test_a_job_in_an_answer_documents_what_the_server_sets(document: Document) -> None:
    schemas = document["components"]["schemas"]
    fields = schemas["JobDocument"]["properties"]
    assert SERVER_FIELDS - {PRIVATE} <= fields.keys()
    assert READ_FIELDS.isdisjoint(schemas["JobDocument"]["required"])
    assert fields["state"] == {"$ref": "#/components/schemas/State"}
    assert fields["started"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert schemas["State"]["enum"] == [*State]


def test_a_job_in_a_list_may_have_no_time_yet(document: Document) -> None:
    fields = document["components"]["schemas"]["ListedJob"]["properties"]
    for name in ("started", "finished"):
        assert {entry["type"] for entry in fields[name]["anyOf"]} == {"string", "null"}


def test_what_an_answer_leaves_out_is_never_null(document: Document) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["ErrorBody"]["properties"]["errors"]["type"] == "array"
    assert schemas["JobList"]["properties"]["next"]["type"] == "string"
    assert "next" not in schemas["JobList"]["required"]


def properties(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Each property of each schema; one of another schema's type is described there."""
    schemas = document["components"]["schemas"]
    for schema, found in schemas.items():
        for name, field in found.get("properties", {}).items():
            yield (
                schema,
                name,
                schemas[field["$ref"].rpartition("/")[2]] if "$ref" in field else field,
            )


def test_every_property_is_described(document: Document) -> None:
    found = [*properties(document)]
    assert len(found) > 150
    assert [(schema, name) for schema, name, field in found if not field.get("description")] == []


def test_every_text_and_number_has_an_example(document: Document) -> None:
    found = {
        (schema, name): field
        for schema, name, field in properties(document)
        if schema not in ("TableOptions", "Times")  # their descriptions name examples
    }
    for place, field in found.items():
        kinds = [field, *field.get("anyOf", ())]
        if {kind.get("type") for kind in kinds} & {"string", "integer", "number"}:
            assert "examples" in field or any("enum" in kind for kind in kinds), place


def test_a_patch_may_hold_null_where_that_removes_a_field(document: Document) -> None:
    fields = document["components"]["schemas"]["JobPatch"]["properties"]
    for name in ("public", "pinned"):
        assert fields[name]["anyOf"] == [{"type": "boolean"}, {"type": "null"}]


def test_every_refusal_has_the_one_body(document: Document) -> None:
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status >= "400":
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}


def test_every_reference_leads_somewhere(document: Document) -> None:
    components = document["components"]
    kinds = {"schemas": components["schemas"], "headers": components["headers"]}
    assert set(references(document)) == {
        f"#/components/{kind}/{name}" for kind, found in kinds.items() for name in found
    }


def test_the_upload_is_a_form(document: Document) -> None:
    for method in ("put", "post"):
        content = document["paths"]["/datafile/{name}"][method]["requestBody"]["content"]
        schema = content["multipart/form-data"]["schema"]
        assert schema["properties"]["file"]["format"] == "binary"
        assert schema["required"] == ["file"]


def bodies(document: Document) -> Iterator[tuple[str, Document]]:
    """The schema of each JSON body of jobs and data, with its path."""
    for path, _, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if path.startswith(("/job", "/data")) and "application/json" in content:
            name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
            yield path, document["components"]["schemas"][name]


def test_no_body_has_defaults_that_a_client_would_send_with_every_change(
    document: Document,
) -> None:
    found = dict(bodies(document))
    assert {"/job", "/job/{job_id}", "/jobs", "/data/{data_id}"} <= found.keys()
    for path, schema in found.items():
        fields = schema.get("properties", {})
        assert [name for name in fields if "default" in fields[name]] == [], path


def test_only_jobs_and_filters_have_fields_of_the_clients(document: Document) -> None:
    for path, schema in bodies(document):
        assert schema["additionalProperties"] is path.startswith("/job"), path


def test_a_job_documents_the_fields_that_the_server_reads(document: Document) -> None:
    assert dict(bodies(document))["/job"]["properties"].keys() == READ_FIELDS


def test_a_body_with_required_fields_is_required(document: Document) -> None:
    assert document["paths"]["/data"]["put"]["requestBody"]["required"]
    assert not document["paths"]["/job"]["put"]["requestBody"]["required"]
