"""``/data``: data stored in MongoDB: list, create, read, change, delete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from flask import Blueprint, Response, url_for

from jobserver.api.framework.endpoint import Answer, DocumentQuery, endpoint, wants_strings
from jobserver.api.framework.identity import stored_data
from jobserver.api.framework.schemas import DataDocument, DataFields, DataList, Deleted
from jobserver.encoding import dumps
from jobserver.storage.database import Document
from jobserver.storage.documents import parse_id

data = Blueprint("data", __name__)


@endpoint(data, "GET", "/data", policy="data.list", query=DocumentQuery, answers={200: DataList})
def list_data(query: DocumentQuery) -> Response:
    """List all stored data, oldest first, without the data itself."""
    found = stored_data().list()
    # Asked for before the answer begins, while it can still be a refusal.
    documents = chain(list(islice(found, 1)), found)
    return Response(_stream(documents, wants_strings(query)), mimetype="application/json")


@endpoint(
    data,
    "PUT",
    "/data",
    policy="data.create",
    body=DataFields,
    query=DocumentQuery,
    answers={201: DataDocument},
)
def create_data(body: dict[str, Any], query: DocumentQuery) -> Answer:
    """Store data; its id is made by the server."""
    return _created(stored_data().create(body), query)


@endpoint(
    data,
    "PUT",
    "/data/<data_id>",
    policy="data.create",
    body=DataFields,
    query=DocumentQuery,
    answers={201: DataDocument},
    refusals=(409,),
)
def create_named_data(data_id: str, body: dict[str, Any], query: DocumentQuery) -> Answer:
    """Store data with an id of your own."""
    return _created(stored_data().create(body, parse_id(data_id)), query)


@endpoint(
    data,
    "GET",
    "/data/<data_id>",
    policy="data.read",
    query=DocumentQuery,
    answers={200: DataDocument},
    refusals=(404,),
)
def read_data(data_id: str, query: DocumentQuery) -> Answer:
    """Read stored data."""
    return _shown(stored_data().get(parse_id(data_id)), query)


@endpoint(
    data,
    "POST",
    "/data/<data_id>",
    policy="data.change",
    body=DataFields,
    query=DocumentQuery,
    answers={200: DataDocument},
    refusals=(404,),
)
def change_data(data_id: str, body: dict[str, Any], query: DocumentQuery) -> Answer:
    """Merge fields into stored data; what is sent as `data` replaces what was there."""
    return _shown(stored_data().edit(parse_id(data_id), body), query)


@endpoint(
    data,
    "DELETE",
    "/data/<data_id>",
    policy="data.delete",
    answers={200: Deleted},
    refusals=(404,),
)
def delete_data(data_id: str) -> Answer:
    """Delete stored data."""
    stored_data().delete(parse_id(data_id))
    message = f"The data {data_id} was deleted."
    return Answer({"status": 200, "acknowledged": True, "message": message})


def _shown(document: Document, query: DocumentQuery, status: int = 200, **headers: str) -> Answer:
    return Answer(document, status, headers, strings=wants_strings(query))


def _created(document: Document, query: DocumentQuery) -> Answer:
    location = url_for("data.read_data", data_id=str(document["_id"]))
    return _shown(document, query, 201, Location=location)


def _stream(documents: Iterable[Document], strings: bool) -> Iterator[bytes]:
    """The list as JSON, one after another: its length never matters."""
    found = 0
    yield b'{"data":['
    for found, document in enumerate(documents, 1):
        yield (b"," if found > 1 else b"") + dumps(document, strings=strings)
    yield b'],"found":%d}\n' % found
