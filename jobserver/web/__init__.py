"""Pages for people; browsers load everything from this package."""

from jobserver.web import docs, jobs, session

__all__ = ["docs", "jobs", "session"]
