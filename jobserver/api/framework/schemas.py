"""Bodies of requests and answers, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jobserver.tables.options import TableOptions


class JobDocument(BaseModel):
    """A job. Every value is a string, unless the request has `stringify=false`."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(alias="_id")
    created: str
    started: str | None
    finished: str | None
    state: str
    result: object


class ListedJob(BaseModel):
    """A job, or the requested fields of it."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(alias="_id")


class JobList(BaseModel):
    """Jobs, oldest first."""

    found: int
    found_at_least: bool | None = Field(
        None, description="True if there may be more than found, as counting takes too long."
    )
    jobs: list[ListedJob]
    next: str | None = None


class ListedData(BaseModel):
    """Stored data without the data itself. Every value is a string, as in `JobDocument`."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(alias="_id")
    created: str
    datatype: str


class DataDocument(ListedData):
    """Stored data."""

    data: object


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
    parameters: dict[str, object]


class BrokenModule(BaseModel):
    """A module of scripts that could not be loaded."""

    module: str
    error: str


class ScriptList(BaseModel):
    """All scripts, by name."""

    found: int
    scripts: list[ScriptInfo]
    errors: list[BrokenModule] | None = None


class Message(BaseModel):
    """A confirmation."""

    status: int
    message: str


class Deleted(Message):
    """An object was deleted."""

    acknowledged: bool


class AllDeleted(Deleted):
    """Number of objects deleted, of the total."""

    deleted: int
    total: int


class Info(Message):
    """The version of the server."""

    version: str


class Evaluation(BaseModel):
    """Whether jobs may contain code, and how it is isolated."""

    allowed: bool
    isolation: Literal["bubblewrap", "process"] | None


class FullInfo(Info):
    """The version of the server, and what it allows."""

    eval: Evaluation


class DataFileInfo(BaseModel):
    """A data file, with its path relative to the home."""

    name: str
    path: str
    size: str
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

    errors: list[FieldProblem] | None = None


class FieldProblem(BaseModel):
    """A problem with a field."""

    field: str
    problem: str


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
