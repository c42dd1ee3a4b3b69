"""The factory: the routes of the server, as a flat list."""

from __future__ import annotations

from flask import Flask

from jobserver.api import cors, errors, headers, metrics, origin
from jobserver.api.data import data
from jobserver.api.datafile import datafile
from jobserver.api.datafiles import datafiles
from jobserver.api.info import info
from jobserver.api.job import job
from jobserver.api.jobs import jobs
from jobserver.api.login import login
from jobserver.api.results import results
from jobserver.api.runs import runs
from jobserver.api.scripts import scripts
from jobserver.api.services import KEY, Services
from jobserver.api.users import users
from jobserver.web.views import web

BLUEPRINTS = (
    *(info, job, runs, results, jobs, datafile, datafiles, data, scripts, users, login),
    *(metrics.metrics, web),
)


def create_app(parts: Services) -> Flask:
    """Make the application over the parts of a server.

    Parameters
    ----------
    parts : Services
        What the views work with; `jobserver.home.Home` makes them.

    Returns
    -------
    Flask
        A WSGI application.
    """
    app = Flask("jobserver", static_folder=None)
    app.extensions[KEY] = parts
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    errors.register(app)
    metrics.register(app)
    headers.register(app, parts.settings)
    origin.register(app)
    cors.register(app, parts.settings)  # before anybody asks who it is: browsers cannot tell then
    return app
