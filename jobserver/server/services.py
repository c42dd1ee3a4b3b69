"""The parts of a running server."""

from __future__ import annotations

from bson import ObjectId

from jobserver.data.files import DataFiles
from jobserver.data.stored import StoredData
from jobserver.execution import make_executor
from jobserver.execution.preview import Previews
from jobserver.home.settings import Settings
from jobserver.jobs.deletion import Retention
from jobserver.jobs.feed import JobFeed
from jobserver.jobs.listing import Listing
from jobserver.jobs.store import Jobs
from jobserver.mail import Outbox
from jobserver.storage.database import Database
from jobserver.storage.documents import OWNER
from jobserver.storage.usage import StorageUsage
from jobserver.system.disk import remove_abandoned
from jobserver.system.orphans import end_abandoned
from jobserver.users.accounts import Accounts


class Services:
    """The parts of a server, shared by all requests.

    Parameters
    ----------
    settings : Settings
        Settings of the home.
    database : Database
        Connection to the database.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.jobs = Jobs(database)
        self.usage = StorageUsage(database)
        owner = (OWNER,) if settings.LOGIN_REQUIRED else ()
        self.listing = Listing(database, (*owner, *settings.SEARCH_FIELDS, "state"))
        self.feed = JobFeed(database)
        self.data = StoredData(database)
        self.datafiles = DataFiles.from_settings(database, settings)
        self.executor = make_executor(database, self.datafiles, settings)
        self.scripts = self.executor.scripts
        self.previews = Previews(settings, self.executor.preloader)
        self.outbox = Outbox(database, settings)
        self.accounts = Accounts(database, settings, self.outbox)
        self.retention = Retention(self.jobs, settings.RESULT_TTL)

    def recount_storage(self, owner: ObjectId) -> None:
        """Count what a user has stored, after servers were killed or files removed by hand."""

        def count() -> int:
            files = self.datafiles.for_owner(owner).sizes().values()
            return sum(files) + self.data.bytes_stored(owner) + self.jobs.bytes_stored(owner)

        self.jobs.quotas.reconcile(owner)
        self.usage.recount(owner, count)

    def start(self) -> None:
        """Clean up after earlier processes, and start to load scripts and run jobs."""
        if self.settings.LOGIN_REQUIRED:
            self.accounts.prepare()
        end_abandoned()
        remove_abandoned()
        self.datafiles.clear()
        self.data.values.clear()
        self.jobs.results.clear()
        self.scripts.start()
        self.executor.start()
        self.retention.start()
        self.outbox.start()

    def drain(self, grace: float) -> None:
        """Start no more runs, and give those in progress ``grace`` seconds."""
        self.executor.draining.set()
        self.scripts.close()  # no job needs them checked any more
        self.executor.drain(grace)

    def close(self) -> None:
        """Stop all runs and children, and disconnect."""
        self.executor.drain(0)
        self.retention.stop()
        self.outbox.stop()
        self.scripts.close()
        self.database.close()
