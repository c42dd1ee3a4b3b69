"""Deleting jobs, and all that was stored for them."""

from __future__ import annotations

from collections import defaultdict

from jobserver.jobs import logs
from jobserver.jobs.job import ACTIVE, State
from jobserver.jobs.notifications import Notifications
from jobserver.jobs.quotas import Quotas
from jobserver.jobs.results import Results
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import OWNER

_DELETABLE = [state.value for state in State if state not in ACTIVE]
#: Fields of a job without which it cannot be deleted.
NEEDED_TO_DELETE = (
    *("state", "created", OWNER),
    *("_run.key", "_run.file.key", "_run.mail", "_run.charge"),
)


class JobDeleter:
    """Deletes jobs of one database, with their logs and results.

    Parameters
    ----------
    quotas : Quotas
        What the runs were charged to.
    results, notices
        What is stored for jobs, and mails that they still owe.
    """

    def __init__(
        self,
        database: Database,
        quotas: Quotas,
        results: Results,
        notices: Notifications,
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._results = results
        self._notices = notices
        self._jobs = database["jobs"]

    def delete(self, documents: list[Document]) -> int:
        """Delete those of some jobs that may be, and what was stored for them.

        Parameters
        ----------
        documents : list of dict
            The jobs with at least `NEEDED_TO_DELETE`. One whose state changed since stays.

        Returns
        -------
        int
            How many were deleted.
        """
        self._notices.post_of([job["_id"] for job in documents if "mail" in job["_run"]])
        self._settle(documents)
        with self._results.settled(documents):
            deleted = self._delete(documents)
            ids = {"_id": {"$in": [document["_id"] for document in documents]}}
            left = {found["_id"] for found in self._database.find("jobs", ids, projection=["_id"])}
            gone = [document for document in documents if document["_id"] not in left]
            logs.delete(self._database, [document["_run"]["key"] for document in gone])
        return deleted

    def _settle(self, documents: list[Document]) -> None:
        """Settle what is open of these runs: once they are gone nobody knows how they ended."""
        for owner in {each[OWNER] for each in documents if "charge" in each["_run"]}:
            self._quotas.reconcile(owner)

    def _delete(self, documents: list[Document]) -> int:
        """Delete those that are as they were seen, and whose they were; how many there were."""
        alike = defaultdict(list)
        for document in documents:
            if document["state"] in _DELETABLE:
                alike[document["state"], document.get(OWNER)].append(document["_id"])
        total = 0
        for (state, owner), ids in alike.items():
            query = {"_id": {"$in": ids}, "state": state, OWNER: owner}
            deleted = self._database.call(self._jobs.delete_many, query).deleted_count
            total += deleted
        return total
