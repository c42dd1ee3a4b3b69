"""Bodies of requests and answers, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, RootModel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from jobserver.jobs.job import State
from jobserver.tables.options import TableOptions


class Absent(BaseModel):
    """A model whose fields are absent, never null, if they have no value: their default is None."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Leave out null where it is the default."""
        found = handler(schema)
        for field in handler.resolve_ref_schema(found).get("properties", {}).values():
            if "anyOf" in field and field.get("default", "") is None:
                del field["default"]
                types = [each for each in field.pop("anyOf") if each != {"type": "null"}]
                field.update(types[0] if len(types) == 1 else {"anyOf": types})
        return found


_Id = Annotated[
    str,
    Field(
        alias="_id",
        description="24 hexadecimal digits, or the id that the client chose.",
        examples=["5b9011469eb82b0d84ca212f"],
    ),
]
_Created = Annotated[
    str, Field(description="When it was created.", examples=["2026-11-23 20:12:15.550000"])
]
_Started = Annotated[str | None, Field(description="When `/run` was accepted.")]
_Finished = Annotated[str | None, Field(description="When it ended.")]
_Result = Annotated[
    object,
    Field(
        description="What the script returned; for a large result its type, size and address.",
        examples=[{"value": {"count": "12000.0", "mean": "40.13169599255021"}}],
    ),
]


class ListedJob(Absent):
    """A job, or the requested fields of it."""

    model_config = ConfigDict(extra="allow")

    id: _Id
    created: _Created | None = None
    started: _Started = None
    finished: _Finished = None
    state: State | None = None
    result: _Result = None
    edited: str | None = Field(None, description="When it was last changed.")
    time_sec: float | str | None = Field(
        None, description="Seconds from `started` to `finished`.", examples=["0.138"]
    )
    progress: float | str | None = Field(
        None, description="Progress of the script, from 0 to 1.", examples=["0.5"]
    )
    error: str | None = Field(None, description="Kind of failure.", examples=["ValueError"])
    message: str | None = Field(None, description="What happened, or what the script is doing.")
    steps: list[object] | str | None = Field(None, description="Steps of a pipeline.")
    attempts: list[object] | str | None = Field(None, description="Attempts, with `retries`.")
    provenance: dict[str, object] | None = Field(
        None, description="Versions of script and packages, checksum of the data, and seed."
    )
    rerun_of: str | None = Field(None, description="Id of the job that this one repeats.")
    owner: str | None = Field(None, alias="_owner", description="Id of its owner; with login.")
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


class JobList(Absent):
    """Jobs, oldest first."""

    found: int = Field(description="Number of jobs that match, on all pages.", examples=[1])
    found_at_least: bool | None = Field(
        None, description="True if there may be more than found, as counting takes too long."
    )
    jobs: list[ListedJob]
    next: str | None = Field(None, description="URL of the next page, if there is one.")


class ListedData(BaseModel):
    """Stored data without the data itself. Every value is a string, as in `JobDocument`."""

    model_config = ConfigDict(extra="allow")

    id: _Id
    created: _Created
    datatype: str = Field(
        description="Type of the argument that a script receives.", examples=["timeseries"]
    )


class DataDocument(ListedData):
    """Stored data."""

    data: object = Field(description="JSON that fits the datatype.", examples=["[1, 2.5]"])


class DataList(BaseModel):
    """All stored data, oldest first."""

    found: int
    data: list[ListedData]


class Result(RootModel[object]):
    """The return value of the script."""


class ScriptInfo(BaseModel):
    """A script, with a JSON Schema of its parameters."""

    type: str
    name: str
    module: str | None = Field(description="Module of a function; null for an executable.")
    version: str | None = Field(description="SHA-256 of its file.")
    description: str
    parameters: dict[str, object] = Field(description="JSON Schema of its parameters.")


class BrokenModule(BaseModel):
    """A module of scripts that could not be loaded."""

    module: str
    error: str


class ScriptList(Absent):
    """All scripts, by name."""

    found: int
    scripts: list[ScriptInfo]
    errors: list[BrokenModule] | None = Field(
        None, description="Modules that could not be loaded, if there are any."
    )


class Message(Absent):
    """A confirmation."""

    status: int = Field(description="Status code of the response.", examples=[200])
    message: str


class Deleted(Message):
    """An object was deleted."""

    acknowledged: bool = Field(description="Whether everything was deleted.")


class AllDeleted(Deleted):
    """Number of objects deleted, of the total."""

    deleted: int
    total: int


class Info(Message):
    """The version of the server."""

    version: str = Field(examples=["0.2.0"])


class Evaluation(BaseModel):
    """Whether jobs may contain code, and how it is isolated."""

    allowed: bool
    isolation: Literal["bubblewrap", "process"] | None


class FullInfo(Info):
    """The version of the server, and what it allows."""

    eval: Evaluation


class DataFileInfo(Absent):
    """A data file, with its path relative to the home."""

    name: str = Field(examples=["timeseries.csv"])
    path: str = Field(examples=["data/timeseries.csv"])
    size: str = Field(examples=["566 KB"])
    options: TableOptions | None = Field(None, description="How it is read; absent if not set.")


class DataFileAnswer(RootModel[DataFileInfo | list[object] | dict[str, object]]):
    """A data file; with `format=json` its rows, or its content if that is JSON."""


class ListedDataFile(DataFileInfo):
    """A data file in a list."""

    type: str


class DataFileList(BaseModel):
    """All data files, by name."""

    found: int
    files: list[ListedDataFile]


class Cancelled(Message):
    """How many jobs were cancelled."""

    cancelled: int


class Uploaded(Message):
    """A data file was stored."""

    name: str
    path: str


class ErrorBody(Message):
    """Why a request failed, and what to do."""

    errors: list[FieldProblem] | None = Field(
        None, description="The problems, if they are about fields."
    )


class FieldProblem(BaseModel):
    """A problem with a field."""

    field: str = Field(description="Path of the field.", examples=["script.kwargs.column"])
    problem: str = Field(description="What is wrong with it.")


class Document(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(extra="allow")


class UserInfo(BaseModel):
    """A user, with quotas and usage."""

    id: str = Field(alias="_id")
    email: str
    role: str
    active: bool
    created: str
    job_quota: int | None
    job_limit: int
    storage_quota: int | None
    jobs_started: int
    jobs_active: int
    bytes_stored: int


class UserList(BaseModel):
    """All users, oldest first."""

    found: int
    users: list[UserInfo]


class Login(BaseModel):
    """The logged-in user, and an access token."""

    user: UserInfo
    access_token: str
    expires_in: int


class Token(BaseModel):
    """A personal token, without the token itself."""

    id: str = Field(alias="_id")
    name: str
    scopes: list[str]
    role: str = Field(description="Role of its user when it was created, which it never exceeds.")
    created: str


class MadeToken(Token):
    """A personal token, shown only once."""

    token: str


class TokenList(BaseModel):
    """A user's personal tokens."""

    found: int
    tokens: list[Token]
