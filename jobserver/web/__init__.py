"""Pages for people; browsers load everything from this package."""

from jobserver.web import docs, job, jobs, new, session

__all__ = ["docs", "job", "jobs", "new", "session"]
