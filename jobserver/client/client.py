"""The client: what a server can do, as methods."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlsplit

from jobserver.client.access import find_access
from jobserver.client.connection import Connection, as_document, as_job
from jobserver.client.job import JSON, NATIVE, Job
from jobserver.client.payload import Data, Document, script_fields
from jobserver.client.payload import as_json as body_of
from jobserver.errors import Conflict, Forbidden, NotFound

#: Fields of the jobs in a list: all but what may be large.
LISTED = (
    *("state", "script.name", "script.type", "script_name", "datafile", "created", "started"),
    *("finished", "time_sec", "progress", "message", "error"),
)
_PAGE = 1000
_PIECE = 2**18
#: Called with the bytes sent so far and their number in all.
Sent = Callable[[int, int], None]
OpenFile = Callable[[], io.BufferedIOBase]


class Client:
    """A client of a server.

    Parameters
    ----------
    url : str, optional
        Address of the server: by default ``JOBSERVER_URL``, else the one that ``jobserver login``
        kept, else http://localhost:5000.
    token : str, optional
        Token, if the server asks for a login: by default ``JOBSERVER_TOKEN``, else the one that
        ``jobserver login`` kept for this address.
    timeout : float
        Seconds without a byte after which a request counts as lost.
    patience : float
        Seconds for which a request is repeated while the server is away.

    Raises
    ------
    SettingsError
        If the address is none, or others can read the file with the token.

    Examples
    --------
    >>> with Client("http://localhost:5000") as client:
    ...     client.run("summary", datafile="timeseries.csv").result()
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        patience: float = 60.0,
    ) -> None:
        access = find_access(url, token)
        self._connection = Connection(access.url, access.token, timeout, patience)

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._connection.url

    def run(
        self,
        script: str | Mapping[str, object],
        /,
        *,
        data: object = None,
        datafile: str | None = None,
        raw_data: object = None,
        options: Mapping[str, object] | None = None,
        parameters: Mapping[str, object] | None = None,
        fields: Mapping[str, object] | None = None,
        progress: bool = True,
        **keywords: object,
    ) -> Job:
        """Run a script, wait until it has ended, and return the job.

        Parameters
        ----------
        script : str or mapping
            Name of the script; or an object with a ``type``, such as a pipeline.
        data : object, optional
            A DataFrame, a Series, an array, or any JSON. A `Path` is uploaded, unless the server
            has the file. An object such as ``{"type": "mongodb", "id": "..."}`` binds data on the
            server.
        datafile : str, optional
            Name of a data file on the server.
        raw_data : object, optional
            Any JSON.
        options : mapping, optional
            How to read the data as a table, such as ``{"decimal": ","}``.
        parameters : mapping, optional
            Parameters of the script whose names are taken here.
        fields : mapping, optional
            Other fields of the job, such as ``timeout``, ``seed`` or ``notify``.
        progress : bool
            Whether to show a bar in terminals and notebooks.
        **keywords
            Parameters of the script.

        Raises
        ------
        JobNotRunnable
            If the job cannot run as it is; ``errors`` has the reasons.
        JobFailed
            If it failed or was cancelled.
        """
        job = self.submit(
            script,
            data=data,
            datafile=datafile,
            raw_data=raw_data,
            options=options,
            parameters=parameters,
            fields=fields,
            **keywords,
        )
        return job.wait(progress=progress).check()

    def submit(
        self,
        script: str | Mapping[str, object],
        /,
        *,
        data: object = None,
        datafile: str | None = None,
        raw_data: object = None,
        options: Mapping[str, object] | None = None,
        parameters: Mapping[str, object] | None = None,
        fields: Mapping[str, object] | None = None,
        **keywords: object,
    ) -> Job:
        """Start a script, and return its job at once; otherwise as `run`.

        However often the connection is lost, there is one job.
        """
        content = {
            **(fields or {}),
            **script_fields(script, parameters, keywords),
            **Data(data, datafile, raw_data, options).fields(fields or {}, self._upload_once),
        }
        headers = {**JSON, "Idempotency-Key": str(uuid.uuid4())}
        answer = self._connection.request(
            "PUT", "/job", params=NATIVE, headers=headers, content=body_of(content)
        )
        return Job(self._connection, as_job(answer)).start_or_delete()

    def map(
        self,
        script: str | Mapping[str, object],
        over: Iterable[object] | Mapping[str, object],
        /,
        *,
        collect_errors: bool = False,
        progress: bool = True,
        **options: Any,
    ) -> Job:
        """Run a script for each of many items in one job, and wait for it.

        Parameters
        ----------
        script : str or mapping
            Name of the script, or an object with a ``type``.
        over : iterable or mapping
            The items, each the script's first argument; or where the server finds them, such as
            ``{"groups": "station"}``.
        collect_errors : bool
            Whether all items run even if some fail.
        **options
            As for `run`.

        Returns
        -------
        Job
            Its result is a list, in the order of the items.
        """
        items = dict(over) if isinstance(over, Mapping) else list(over)
        what = {"name": script} if isinstance(script, str) else {"script": script}
        mapped = {"type": "map", **what, "over": items, "collect_errors": collect_errors}
        return self.run(mapped, progress=progress, **options)

    def job(self, job_id: str) -> Job:
        """Return the job with an id; raise `NotFound` if there is none."""
        answer = self._connection.request("GET", f"/job/{quote(job_id, safe='')}", params=NATIVE)
        return Job(self._connection, as_job(answer))

    def jobs(
        self,
        *,
        state: str | None = None,
        script: str | None = None,
        limit: int | None = None,
        matching: Mapping[str, object] | None = None,
    ) -> list[Job]:
        """Return jobs, newest first, with their main fields.

        Parameters
        ----------
        state, script : str, optional
            Only jobs in this state, or with this script.
        limit : int, optional
            At most so many.
        matching : mapping, optional
            A filter in MongoDB's syntax, such as ``{"time_sec": {"$gt": 60}}``.
        """
        params: dict[str, str | int] = {"sort": "-created", "fields": ",".join(LISTED), **NATIVE}
        params |= {k: v for k, v in (("state", state), ("script", script)) if v is not None}
        found: list[Job] = []
        while limit is None or len(found) < limit:
            params["limit"] = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = self._page(params, matching)
            found += [Job(self._connection, document) for document in page["jobs"]]
            if "next" not in page:
                break
            params["after"] = parse_qs(urlsplit(page["next"]).query)["after"][0]
        return found

    def _page(self, params: Mapping[str, Any], matching: Mapping[str, Any] | None) -> Document:
        if matching is None:
            found = self._connection.request("GET", "/jobs", params=params)
        else:
            content = body_of(matching)
            found = self._connection.request(
                "POST", "/jobs", params=params, headers=JSON, content=content
            )
        return as_document(found, "jobs")

    def scripts(self) -> list[Document]:
        """Return the scripts of the server, each with its description and parameters."""
        answer = self._connection.request("GET", "/scripts")
        return list(as_document(answer, "scripts")["scripts"])

    def datafiles(self) -> list[Document]:
        """Return the data files, each with its name, path and size."""
        answer = self._connection.request("GET", "/datafiles")
        return list(as_document(answer, "files")["files"])

    def upload(
        self, source: str | Path | bytes, name: str | None = None, *, sent: Sent | None = None
    ) -> str:
        """Upload a data file, and return its name.

        Parameters
        ----------
        source : str, Path or bytes
            Path of a file, or the content itself.
        name : str, optional
            Name on the server; by default that of the file.
        sent : callable, optional
            Called with the bytes sent so far and their number in all.

        Raises
        ------
        Conflict
            If the name is taken: files are never replaced.
        TypeError
            If the content has no name.
        """
        if isinstance(source, bytes):
            if name is None:
                raise TypeError("Give the name of the data file.")
            self._send(name, lambda: io.BytesIO(source), sent)
            return name
        path = Path(source)
        self._send(name or path.name, lambda: path.open("rb"), sent)
        return name or path.name

    def _send(self, name: str, open_file: OpenFile, sent: Sent | None) -> None:
        """Send a file; what a lost answer leaves in doubt is settled by comparing the content."""
        with open_file() as file:
            size = file.seek(0, io.SEEK_END)
        attempts = 0

        def content() -> Iterator[bytes]:
            nonlocal attempts
            attempts += 1
            done = 0
            with open_file() as file:
                while piece := file.read(_PIECE):
                    done += len(piece)
                    yield piece
                    if sent:
                        sent(done, size)

        path, headers = _file_path(name), {"Content-Length": str(size)}
        try:
            self._connection.request("PUT", path, headers=headers, content=content)
        except Conflict:
            if attempts < 2 or not self._is_there(name, open_file):
                raise

    def _is_there(self, name: str, open_file: OpenFile) -> bool:
        """Whether a data file has the content of a file."""
        theirs = hashlib.sha256()
        for piece in self._connection.stream(f"{_file_path(name)}/content"):
            theirs.update(piece)
        with open_file() as file:
            return hashlib.file_digest(file, "sha256").digest() == theirs.digest()

    def _upload_once(self, name: str, source: bytes | Path) -> str:
        """Upload a file whose name has the checksum of its content, unless it is there.

        It may also be there under its own name, with the options kept with it.
        """
        if isinstance(source, Path) and self._has(source):
            return source.name
        try:
            return self.upload(source, name)
        except Conflict:
            return name

    def _has(self, path: Path) -> bool:
        """Whether the server has a file, under its own name."""
        address, plain = _file_path(path.name), {"Accept-Encoding": "identity"}
        try:
            self._connection.request("GET", address)  # HEAD gives no reason of a refusal
            head = self._connection.request("HEAD", f"{address}/content", headers=plain)
            is_as_large = head.headers["Content-Length"] == str(path.stat().st_size)
            return is_as_large and self._is_there(path.name, lambda: path.open("rb"))
        except (NotFound, Forbidden):  # not there, or with a token that may not read
            return False

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"


def _file_path(name: str) -> str:
    return f"/datafile/{quote(name, safe='')}"
