"""Pages for people; browsers load everything from this package."""

from jobserver.web import data, docs, job, jobs, new, scripts, session

__all__ = ["data", "docs", "job", "jobs", "new", "scripts", "session"]
