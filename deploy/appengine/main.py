"""The application, where App Engine looks for it."""

from jobserver.wsgi import app

__all__ = ["app"]
