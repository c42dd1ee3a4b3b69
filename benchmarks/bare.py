"""What reading a job is held against: one plain Flask view, served as ours is.

``python -m benchmarks.bare HOME`` serves the jobs of a home from the same database, with the same
waitress and its settings, and with nothing else between Flask and pymongo.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from bson import ObjectId
from flask import Flask, Response
from pymongo import MongoClient
from pymongo.collection import Collection

from jobserver.home.settings import load
from jobserver.server.http import listen, serve
from jobserver.server.server import Server
from jobserver.storage.embedded import EmbeddedServer


class BareHome(Server):
    """A home whose application is one view."""

    def open(self) -> BareHome:
        """Connect to the database that the server of this home runs."""
        self._database = EmbeddedServer(self.settings.home)
        self._client: MongoClient[dict[str, Any]] = MongoClient(self._database.start())
        self.app = bare_app(self._client["jobserver"]["jobs"])
        return self

    def drain(self) -> None:
        """Nothing runs here."""

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
        self._database.stop()


def bare_app(jobs: Collection[dict[str, Any]]) -> Flask:
    """An application that answers ``GET /job/<id>`` in the shortest way."""
    app = Flask("bare", static_folder=None)

    @app.get("/job/<job_id>")
    def read(job_id: str) -> Response:
        document = jobs.find_one({"_id": ObjectId(job_id)})
        return Response(orjson.dumps(document, default=str), mimetype="application/json")

    return app


if __name__ == "__main__":
    sockets = listen("127.0.0.1", 0)
    home = BareHome(load(Path(sys.argv[1]), environ={})).open()
    address = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    serve(home, sockets, partial(print, address, file=sys.stderr))
