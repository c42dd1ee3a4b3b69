"""A job on the server, as its client sees it."""

from __future__ import annotations

import codecs
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, Self, overload

from jobserver.client.connection import Connection, as_job, as_json
from jobserver.client.display import job_html, shown
from jobserver.client.failures import JobFailed
from jobserver.client.payload import as_json as body_of
from jobserver.client.results import decode
from jobserver.errors import ApiError, Conflict, JobserverError, NotFound, UnsupportedType

ENDED = frozenset({"finished", "failed", "cancelled"})
NATIVE = {"stringify": "false"}
JSON = {"Content-Type": "application/json"}
#: Seconds that a request waits for the end, and that it does so while progress is shown.
_WAIT, _GLANCE = 30.0, 1.0
#: Seconds that the server may take to write a workbook or parquet.
_CONVERSION = 120.0
#: Characters of a log that an error shows.
_END_OF_LOG = 2000


class Job:
    """A job.

    It shows the job as it was when it was last read: `refresh` reads it again.

    Attributes
    ----------
    document : dict
        All fields, with native values; times are text. Jobs of a list have only the main ones.
    """

    def __init__(self, connection: Connection, document: dict[str, Any]) -> None:
        self._connection = connection
        self.document = document

    @property
    def id(self) -> str:
        """The id."""
        return str(self.document["_id"])

    @property
    def url(self) -> str:
        """The address on the server."""
        return f"{self._connection.url}{self._path}"

    @property
    def state(self) -> str:
        """*created*, *queued*, *running*, *finished*, *failed* or *cancelled*."""
        return str(self.document["state"])

    @property
    def script(self) -> str | None:
        """The name of its script, or the type of one without a name; None if it has none."""
        script = self.document.get("script")
        script = script if isinstance(script, dict) else {}
        return script.get("name") or self.document.get("script_name") or script.get("type")

    @property
    def message(self) -> str | None:
        """What happened, or what the script is doing."""
        return self.document.get("message")

    @property
    def error(self) -> str | None:
        """The kind of failure, such as ``ValueError``; None if it did not fail."""
        return self.document.get("error")

    @property
    def progress(self) -> float | None:
        """How far along the script is, from 0 to 1; None if it does not say."""
        progress = self.document.get("progress")
        return None if progress is None else float(progress)

    @property
    def ended(self) -> bool:
        """Whether it is finished, failed or cancelled."""
        return self.state in ENDED

    def refresh(self) -> Self:
        """Read it again, and return it."""
        self._read(0)
        return self

    def wait(self, timeout: float | None = None, *, progress: bool = True) -> Self:
        """Wait until it has ended, however it ends, and return it.

        The server may go away and come back meanwhile.

        Parameters
        ----------
        timeout : float, optional
            The most seconds to wait.
        progress : bool
            Whether to show a bar in terminals and notebooks.

        Raises
        ------
        TimeoutError
            If it has not ended by then. It runs on.
        JobserverError
            If it was never started.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        with shown(self, wanted=progress and not self.ended) as show:
            while not self.ended:
                if self.state == "created":
                    raise JobserverError(f"The job {self.id} has not been started.")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"The job {self.id} is still {self.state}.")
                self._read(min(left, _GLANCE if show else _WAIT))
                if show:
                    show(self)
        return self

    def result(self, *, raw: bool = False, timeout: float | None = None) -> Any:
        """Wait until it has ended, and return what the script returned.

        Parameters
        ----------
        raw : bool
            True for the JSON as it is.
        timeout : float, optional
            The most seconds to wait.

        Returns
        -------
        DataFrame, Series, Index, ndarray
            For a table or an array, with its labels and dtypes. Columns of numbers with the same
            labels, as from ``summary``, are a DataFrame too.
        Picture, bytes
            For a picture, and for other bytes.
        object
            Anything else: numbers, text, lists, dicts.

        Raises
        ------
        JobFailed
            If it failed or was cancelled.
        TimeoutError
            If it has not ended by then.
        """
        self.wait(timeout, progress=False).check()
        path = f"{self._path}/result"
        if raw:
            return as_json(self._connection.request("GET", path))

        def other(output_format: str) -> bytes | None:
            try:
                return self.result_as(output_format)
            except UnsupportedType:
                return None

        typed = self._connection.request("GET", path, params={"typed": "true"})
        return decode(as_json(typed), other)

    def result_as(self, output_format: str) -> bytes:
        """Return the result as a file: csv, html, txt, xlsx, parquet, png, bin or json.

        Raises
        ------
        UnsupportedType
            If it has no such format.
        """
        return b"".join(self.result_pieces(output_format))

    def result_pieces(self, output_format: str) -> Iterator[bytes]:
        """Yield the content of `result_as` piece by piece."""
        path = f"{self._path}/result"
        yield from self._connection.stream(path, {"format": output_format}, wait=_CONVERSION)

    def check(self) -> Self:
        """Return it; raise `JobFailed` if it failed or was cancelled."""
        if self.state in ("failed", "cancelled"):
            raise JobFailed(self.document, self.log()[-_END_OF_LOG:].strip())
        return self

    @overload
    def log(self, *, follow: Literal[False] = False) -> str: ...
    @overload
    def log(self, *, follow: Literal[True]) -> Iterator[str]: ...
    @overload
    def log(self, *, follow: bool) -> str | Iterator[str]: ...
    def log(self, *, follow: bool = False) -> str | Iterator[str]:
        """Return what the script printed and logged.

        Parameters
        ----------
        follow : bool
            True to iterate over its pieces, of any length, as they come, until the job has ended.
        """
        return self._followed() if follow else "".join(self._log(0))

    def _log(self, start: int) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for piece in self._log_bytes(start):
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)

    def _log_bytes(self, start: int) -> Iterator[bytes]:
        return self._connection.stream(f"{self._path}/log", offset="offset", start=start)

    def _followed(self) -> Iterator[str]:
        offset, decoder = 0, codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            ended, before = self.ended, offset  # what was printed before the end is there then
            for piece in self._log_bytes(offset):
                offset += len(piece)
                yield decoder.decode(piece)
            if ended:
                yield decoder.decode(b"", final=True)
                return
            self._read(0 if offset > before else _GLANCE)

    def rerun(self, **fields: Any) -> Job:
        """Start a new job with the same script, data and seed, and return it.

        Parameters
        ----------
        **fields
            Fields of the job that replace the old ones: ``seed=1``, ``datafile="other.csv"``.
        """
        content = body_of(fields)
        # Not repeated when the answer is lost: a second copy would stay behind.
        answer = self._connection.request(
            "POST",
            f"{self._path}/rerun",
            params=NATIVE,
            headers=JSON,
            content=content,
            repeat=False,
        )
        return Job(self._connection, as_job(answer)).start_or_delete()

    def start(self) -> Self:
        """Start it, and return it.

        Raises
        ------
        JobNotRunnable
            If it cannot run as it is; ``errors`` has the reasons.
        TooMany
            If a quota or the queue is full.
        """
        try:
            self.document = as_job(
                self._connection.request("POST", f"{self._path}/run", params=NATIVE)
            )
        except Conflict:  # it was started, and the answer was lost
            if self.refresh().state == "created":
                raise
        return self

    def start_or_delete(self) -> Self:
        """Start a new job, and return it; delete it if it is refused."""
        try:
            return self.start()
        except ApiError as error:
            try:
                self.delete()
            except JobserverError as second:
                error.add_note(f"The job {self.id} could not be deleted: {second}")
            raise

    def cancel(self) -> Self:
        """Stop it, and return it; one that has ended stays as it is."""
        try:
            self.document = as_job(
                self._connection.request("POST", f"{self._path}/cancel", params=NATIVE)
            )
        except Conflict:
            if not self.refresh().ended:
                raise
        return self

    def delete(self) -> None:
        """Delete it with its log and its result. It must be neither queued nor running."""
        with suppress(NotFound):  # it is gone, maybe by a request whose answer was lost
            self._connection.request("DELETE", self._path)

    @property
    def _path(self) -> str:
        return f"/job/{self.id}"

    def _read(self, seconds: float) -> None:
        """Read it when it has ended, or after so many seconds."""
        began = time.monotonic()
        params = {**NATIVE, **({"wait": f"{seconds:.3f}"} if seconds else {})}
        answer = self._connection.request("GET", self._path, params=params, wait=seconds)
        self.document = as_job(answer)
        early = seconds - (time.monotonic() - began)
        if seconds and early > seconds / 2 and not self.ended:  # so many wait that none may
            time.sleep(min(early, _GLANCE))

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.script or 'no script'}, {self.state}>"

    def _repr_html_(self) -> str:
        return job_html(self)
