"""Pages for people; browsers load everything from this package."""

from jobserver.web import account, data, docs, job, jobs, new, registration, scripts, session, users

__all__ = [
    "account",
    "data",
    "docs",
    "job",
    "jobs",
    "new",
    "registration",
    "scripts",
    "session",
    "users",
]
