"""The factory: the routes of the server, as a flat list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from jobserver.api import info, metrics
from jobserver.api.data import data
from jobserver.api.datafile import datafile, datafiles
from jobserver.api.framework import errors, headers, origin, request_log, transport
from jobserver.api.framework.identity import KEY, JobserverRequest
from jobserver.api.job import job
from jobserver.api.jobs import jobs
from jobserver.api.login import login
from jobserver.api.runs import results, runs
from jobserver.api.scripts import scripts
from jobserver.api.users import users
from jobserver.web import docs, pages, session

if TYPE_CHECKING:
    from jobserver.server.services import Services

BLUEPRINTS = (
    *(info.info, job, runs, results, jobs, datafile, datafiles, data, scripts, users, login),
    *(metrics.metrics, docs.web, pages.pages),
)


def create_app(parts: Services) -> Flask:
    """Create the Flask application of a server.

    Parameters
    ----------
    parts : Services
        Parts of the server, which the views use.

    Returns
    -------
    Flask
        The WSGI application.
    """
    app = Flask("jobserver", static_folder=None)
    app.request_class = JobserverRequest
    app.extensions[KEY] = parts
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    request_log.register(app, parts.settings)
    errors.register(app)
    metrics.register(app, parts)
    pages.register(app)
    session.register(app)
    headers.register(app, parts.settings)
    origin.register(app)
    transport.register(app, parts.settings)
    # Before views authenticate: preflight requests have no credentials.
    origin.register_cors(app, parts.settings)
    return app
