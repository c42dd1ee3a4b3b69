"""Bodies of requests and answers, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jobserver.jobs.job import State
from jobserver.tables.options import TableOptions

#: An example of a time, in answers whose values are strings and in others.
_TEXT_TIME, _TIME = "2026-11-23 20:12:15.550000", "2026-11-23T20:12:15.550Z"

_Id = Annotated[
    str,
    Field(
        alias="_id",
        description="24 hexadecimal digits, or the id that the client chose.",
        examples=["5b9011469eb82b0d84ca212f"],
    ),
]
_Created = Annotated[str, Field(description="When it was created.", examples=[_TEXT_TIME])]
_Started = Annotated[
    str | None, Field(description="When `/run` was accepted.", examples=[_TEXT_TIME])
]
_Finished = Annotated[str | None, Field(description="When it ended.", examples=[_TEXT_TIME])]
_Result = Annotated[
    object,
    Field(
        description="What the script returned; for a large result its type, size and address.",
        examples=[{"value": {"count": "12000.0", "mean": "40.13169599255021"}}],
    ),
]
_Found = Annotated[int, Field(description="Number of them.", examples=[1])]
_FileName = Annotated[str, Field(description="Name of the file.", examples=["timeseries.csv"])]
_FilePath = Annotated[
    str,
    Field(description="Path of the file, relative to the home.", examples=["data/timeseries.csv"]),
]


class ListedJob(BaseModel):
    """A job, or the requested fields of it."""

    model_config = ConfigDict(extra="allow")

    id: _Id
    created: _Created | None = None
    # Their default is not None, which would hide in the OpenAPI document that null is a value.
    started: _Started = ""
    finished: _Finished = ""
    state: State | None = None
    result: _Result = None
    edited: str | None = Field(None, description="When it was last changed.", examples=[_TEXT_TIME])
    time_sec: float | str | None = Field(
        None, description="Seconds from `started` to `finished`.", examples=["0.138"]
    )
    progress: float | str | None = Field(
        None, description="Progress of the script, from 0 to 1.", examples=["0.5"]
    )
    error: str | None = Field(None, description="Kind of failure.", examples=["ValueError"])
    message: str | None = Field(
        None,
        description="What happened, or what the script is doing.",
        examples=["The job finished."],
    )
    steps: list[object] | str | None = Field(
        None,
        description="Steps of a pipeline.",
        examples=[[{"step": "1", "name": "clean", "state": "finished", "time_sec": "0.138"}]],
    )
    attempts: list[object] | str | None = Field(
        None,
        description="Attempts, with `retries`.",
        examples=[[{"attempt": "1", "state": "failed", "error": "ValueError"}]],
    )
    provenance: dict[str, object] | None = Field(
        None, description="Versions of script and packages, checksum of the data, and seed."
    )
    rerun_of: str | None = Field(
        None,
        description="Id of the job that this one repeats.",
        examples=["5b9011469eb82b0d84ca212e"],
    )
    owner: str | None = Field(
        None,
        alias="_owner",
        description="Id of its owner; with login.",
        examples=["5b9011469eb82b0d84ca2130"],
    )
    script_name: object = Field(
        None, description="Name of a script without parameters.", examples=["summary"]
    )
    script: object = Field(None, description="The script, with its parameters.")
    datafile: object = Field(None, description="Data file.", examples=["timeseries.csv"])
    raw_data: object = Field(None, description="Data, as JSON.")
    data: object = Field(None, description="Data of any type, with options of reading.")


class JobDocument(ListedJob):
    """A job. Every value is a string, unless the request has `stringify=false`.

    Fields of the client's own are returned as they were sent. Times are in UTC.
    """

    created: _Created
    started: _Started
    finished: _Finished
    state: State
    result: _Result


class JobList(BaseModel):
    """Jobs, oldest first."""

    found: int = Field(description="Number of jobs that match, on all pages.", examples=[1])
    found_at_least: bool | None = Field(
        None, description="True if there may be more than found, as counting takes too long."
    )
    jobs: list[ListedJob] = Field(description="The jobs of this page.")
    next: str | None = Field(
        None,
        description="URL of the next page, if there is one.",
        examples=["/jobs?limit=100&after=2026-11-23T20%3A12%3A15~5b9011469eb82b0d84ca212f"],
    )


class ListedData(BaseModel):
    """Stored data without the data itself. Every value is a string, as in `JobDocument`."""

    model_config = ConfigDict(extra="allow")

    id: _Id
    created: _Created
    datatype: str = Field(
        description="Type of the argument that a script receives.", examples=["timeseries"]
    )
    description: str | None = Field(
        None, description="What it is, if that was sent.", examples=["Water level at Koblenz, cm"]
    )


class DataDocument(ListedData):
    """Stored data."""

    data: object = Field(description="JSON that fits the datatype.", examples=["[1, 2.5]"])


class DataList(BaseModel):
    """All stored data, oldest first."""

    found: _Found
    data: list[ListedData] = Field(description="The stored data.")


class Result(RootModel[object]):
    """The return value of the script."""


class ScriptInfo(BaseModel):
    """A script, with a JSON Schema of its parameters."""

    type: str = Field(description="Kind of script: function or file.", examples=["function"])
    name: str = Field(description="Name to run it by.", examples=["summary"])
    module: str | None = Field(
        description="Module of a function; null for an executable.",
        examples=["jobserver.scripts.shipped.timeseries"],
    )
    version: str | None = Field(description="SHA-256 of its file.", examples=[64 * "0"])
    description: str = Field(
        description="First paragraph of its docstring.", examples=["Describe the columns."]
    )
    parameters: dict[str, object] = Field(description="JSON Schema of its parameters.")


class BrokenModule(BaseModel):
    """A module of scripts that could not be loaded."""

    module: str = Field(description="Name of the module, or of its file.", examples=["scripts.own"])
    error: str = Field(
        description="Why it could not be loaded.",
        examples=["ModuleNotFoundError: No module named 'geopandas'"],
    )


class ScriptList(BaseModel):
    """All scripts, by name."""

    found: _Found
    scripts: list[ScriptInfo] = Field(description="The scripts.")
    errors: list[BrokenModule] | None = Field(
        None, description="Modules that could not be loaded, if there are any."
    )


class Message(BaseModel):
    """A confirmation."""

    status: int = Field(description="Status code of the response.", examples=[200])
    message: str = Field(
        description="What was done, in a sentence.", examples=["The job was deleted."]
    )


class Deleted(Message):
    """An object was deleted."""

    acknowledged: bool = Field(description="Whether everything was deleted.")


class AllDeleted(Deleted):
    """Number of objects deleted, of the total."""

    deleted: int = Field(description="How many were deleted.", examples=[2])
    total: int = Field(description="How many there were.", examples=[3])


class Info(Message):
    """The version of the server."""

    version: str = Field(description="Version of Jobserver.", examples=["0.2.0"])


class Evaluation(BaseModel):
    """Whether jobs may contain code, and how it is isolated."""

    allowed: bool = Field(description="Whether jobs of superusers may contain code.")
    isolation: Literal["bubblewrap", "process"] | None = Field(
        description="What isolates it: bubblewrap, or a process only; null if it is not allowed."
    )


class ClusterInfo(BaseModel):
    """The cluster that runs the jobs."""

    status: str = Field(description="Whether it can be used.", examples=["has workers"])
    dashboard: str | None = Field(
        description="URL of its dashboard; null if it has none, or is not connected.",
        examples=["http://10.0.0.5:8787/status"],
    )


class FullInfo(Info):
    """The version of the server, and what it allows."""

    eval: Evaluation
    cluster: ClusterInfo | None = Field(
        None, description="The Dask cluster, if jobs run on one; with login, for admins only."
    )


class DataFileInfo(BaseModel):
    """A data file, with its path relative to the home."""

    name: _FileName
    path: _FilePath
    size: str = Field(description="Size of the file, rounded.", examples=["566 KB"])
    options: TableOptions | None = Field(None, description="How it is read; absent if not set.")


class DataFileAnswer(RootModel[DataFileInfo | list[object] | dict[str, object]]):
    """A data file; with `format=json` its rows, or its content if that is JSON."""


class ListedDataFile(DataFileInfo):
    """A data file in a list."""

    type: str = Field(description="Always datafile.", examples=["datafile"])


class DataFileList(BaseModel):
    """All data files, by name."""

    found: _Found
    files: list[ListedDataFile] = Field(description="The data files.")


class Cancelled(Message):
    """How many jobs were cancelled."""

    cancelled: int = Field(description="Number of jobs cancelled.", examples=[2])


class Uploaded(Message):
    """A data file was stored."""

    name: _FileName
    path: _FilePath


class ErrorBody(BaseModel):
    """Why a request failed, and what to do."""

    status: int = Field(description="Status code of the response.", examples=[404])
    message: str = Field(
        description="What is wrong, and what to do.",
        examples=["There is no job 5b9011469eb82b0d84ca212f. GET /jobs lists all jobs."],
    )
    errors: list[FieldProblem] | None = Field(
        None, description="The problems, if they are about fields."
    )


class FieldProblem(BaseModel):
    """A problem with a field."""

    field: str = Field(description="Path of the field.", examples=["script.kwargs.column"])
    problem: str = Field(description="What is wrong with it.", examples=["is missing"])


class Document(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(extra="allow")


class UserInfo(BaseModel):
    """A user, with quotas and usage."""

    id: str = Field(alias="_id", description="Id.", examples=["5b9011469eb82b0d84ca2130"])
    email: str = Field(description="Email address.", examples=["ada@example.org"])
    role: str = Field(description="Role: user, admin or superuser.", examples=["user"])
    active: bool = Field(description="Whether the user may log in.")
    created: str = Field(description="When the account was created.", examples=[_TIME])
    job_quota: int | None = Field(
        description="Most jobs in total; null for any number.", examples=[1000]
    )
    job_limit: int = Field(description="Most jobs queued or running at once.", examples=[100])
    storage_quota: int | None = Field(
        description="Most bytes of files, data, jobs, results and logs; null for any number.",
        examples=[1_073_741_824],
    )
    jobs_started: int = Field(
        description="Jobs started so far, except those interrupted.", examples=[42]
    )
    jobs_active: int = Field(description="Jobs queued or running.", examples=[2])
    bytes_stored: int = Field(
        description="Bytes of files, data, jobs, results and logs.", examples=[579_642]
    )


class UserList(BaseModel):
    """All users, oldest first."""

    found: _Found
    users: list[UserInfo] = Field(description="The users.")


class Login(BaseModel):
    """The logged-in user, and an access token."""

    user: UserInfo
    access_token: str = Field(
        description="Token to send as `Authorization: Bearer <token>`.",
        examples=["eyJ1c2VyIjoi.aR5xYw.8kq0m2"],
    )
    expires_in: int = Field(description="Seconds until the token expires.", examples=[1200])


class Token(BaseModel):
    """A personal token, without the token itself."""

    id: str = Field(
        alias="_id", description="Id to delete it by.", examples=["5b9011469eb82b0d84ca2131"]
    )
    name: str = Field(description="Purpose of the token.", examples=["nightly import"])
    scopes: list[str] = Field(
        description="What it allows: read, write, run.", examples=[["read", "run"]]
    )
    role: str = Field(
        description="Role of its user when it was created, which it never exceeds.",
        examples=["user"],
    )
    created: str = Field(description="When it was created.", examples=[_TIME])


class MadeToken(Token):
    """A personal token, shown only once."""

    token: str = Field(
        description="The token, to send as `Authorization: Bearer <token>`.",
        examples=["jst_mK3vX9pQ2wT7"],
    )


class TokenList(BaseModel):
    """A user's personal tokens."""

    found: _Found
    tokens: list[Token] = Field(description="The tokens.")
