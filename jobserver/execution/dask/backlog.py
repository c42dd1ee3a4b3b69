"""The jobs of a server that waits for a cluster: which of them is handed over next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from jobserver.errors import Problem
from jobserver.jobs.resources import Needs, described
from jobserver.storage.documents import JobId

#: What each worker of a cluster offers, by its address.
Offers = Mapping[str, Needs]
#: Kinds of workers that a message lists.
_MOST_KINDS = 5
_Key = tuple[tuple[str, float], ...]


class Backlog:
    """Jobs that wait here, jobs held back until the cluster has what they need, jobs handed over.

    A job whose resources are in use is held back, so that it does not keep a thread of the cluster
    from jobs that need nothing.

    Attributes
    ----------
    waiting : dict
        Jobs that were submitted, the oldest first.
    handed : dict
        Jobs that the cluster has, with the resources that they need.
    """

    def __init__(self) -> None:
        self.waiting: dict[JobId, None] = {}
        self.handed: dict[JobId, Needs] = {}
        self._held: dict[_Key, dict[JobId, None]] = {}

    def add(self, job_id: JobId) -> None:
        """Take a job, unless it is known."""
        if job_id not in self.handed and not any(job_id in held for held in self._held.values()):
            self.waiting[job_id] = None

    def hold(self, job_id: JobId, needs: Needs) -> None:
        """Hold a job back until the resources that it needs are free."""
        self.handed.pop(job_id, None)
        self._held.setdefault(tuple(sorted(needs.items())), {})[job_id] = None

    def next(self, offers: Offers) -> JobId | None:
        """Return the job to hand over: one held back whose resources are free, else the oldest."""
        free = (held for key, held in self._held.items() if held and self.fits(dict(key), offers))
        return next(iter(next(free, self.waiting)), None)

    def take(self, job_id: JobId) -> None:
        """Count a job as handed over."""
        for key, held in [*self._held.items()]:
            if job_id in held:
                del held[job_id]
                self.handed[job_id] = dict(key)
                self._held = {key: held for key, held in self._held.items() if held}
                return
        self.waiting.pop(job_id, None)
        self.handed[job_id] = {}

    def fits(self, needs: Needs, offers: Offers) -> bool:
        """Whether a cluster has resources besides those that its jobs need."""
        if not needs:
            return True
        return not any(unmet(needs, offers)) and all(
            self._used(name) + amount <= sum(offer.get(name, 0) for offer in offers.values())
            for name, amount in needs.items()
        )

    def stranded(self, offers: Offers) -> list[JobId]:
        """Return the jobs that were handed over, and that no worker can run any more."""
        return [job_id for job_id, needs in self.handed.items() if any(unmet(needs, offers))]

    def _used(self, name: str) -> float:
        return sum(needs.get(name, 0) for needs in self.handed.values())


def unmet(needs: Needs, offers: Offers) -> Iterator[Problem]:
    """Yield which resources that a job needs no worker of a cluster offers."""
    if not needs or any(_has(offer, needs) for offer in offers.values()):
        return
    single = [
        name for name in needs if not any(_has(o, {name: needs[name]}) for o in offers.values())
    ]
    there = listed(offers.values())
    for name in single:
        text = f"is more than any worker of the Dask cluster offers: they have {there}"
        yield Problem(f"resources.{name}", text)
    if not single:
        text = f"are more than any one worker of the Dask cluster offers: they have {there}"
        yield Problem("resources", text)


def listed(offers: Iterable[Needs]) -> str:
    """Return what workers offer, in words."""
    kinds = sorted({described(offer) for offer in offers if offer})
    shown = kinds[:_MOST_KINDS] + ["others"] * (len(kinds) > _MOST_KINDS)
    return " or ".join(shown) or "none; start them with --resources"


def _has(offer: Needs, needs: Needs) -> bool:
    return all(offer.get(name, 0) >= amount for name, amount in needs.items())
