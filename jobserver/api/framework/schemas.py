"""The bodies of answers and requests, as they stand in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jobserver.data import stored as data_model
from jobserver.jobs.job import SERVER_FIELDS
from jobserver.tables.datatypes import DATATYPES


class JobFields(BaseModel):
    """Fields of a job that a client sets. All other names are the client's own."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "propertyNames": {"pattern": "^[^$.][^.]*$", "not": {"enum": [*sorted(SERVER_FIELDS)]}}
        },
    )

    script_name: Any = Field(None, description="Name of the script to run.")
    script: Any = Field(None, description="Its type; name, args, kwargs; code, steps or over.")
    datafile: Any = Field(None, description="Name of a data file: the script's first argument.")
    raw_data: Any = Field(None, description="Any JSON: the script's first argument.")
    data: Any = Field(None, description="The data with its type, and name, id or data.")
    timeout: Any = Field(None, description="Longest run in seconds.")
    retries: Any = Field(None, description="How often it is tried again after a failure.")
    notify: Any = Field(None, description="Address that gets a mail when the job ends.")
    public: bool = Field(False, description="True lets every user read parameters and result.")
    pinned: bool = Field(False, description="True keeps it from being deleted by RESULT_TTL.")


class JobDocument(BaseModel):
    """A job. Every value is a string, unless the request says `stringify=false`."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(alias="_id")
    created: str
    started: str | None
    finished: str | None
    state: str
    result: Any


class ListedJob(BaseModel):
    """A job, or the fields of it that were asked for."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(alias="_id")


class JobList(BaseModel):
    """Some jobs, oldest first."""

    found: int
    found_at_least: bool | None = Field(
        None, description="True where there may be more than found: counting takes too long."
    )
    jobs: list[ListedJob]
    next: str | None = None


class DataFields(BaseModel):
    """Fields of stored data that a client sets. All other names are the client's own."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "propertyNames": {
                "pattern": "^[^$.][^.]*$",
                "not": {"enum": [*sorted(data_model.SERVER_FIELDS)]},
            }
        },
    )

    data: Any = Field(None, description="The data: any JSON that fits its datatype.")
    datatype: str = Field(
        "json", description="What a script gets.", json_schema_extra={"enum": [*DATATYPES]}
    )


class ListedData(BaseModel):
    """Stored data without the data itself. Every value is a string, as in `JobDocument`."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(alias="_id")
    created: str
    datatype: str


class DataDocument(ListedData):
    """Stored data."""

    data: Any


class DataList(BaseModel):
    """All stored data, oldest first."""

    found: int
    data: list[ListedData]


class Result(RootModel[Any]):
    """What the script returned."""


class Filter(BaseModel):
    """A filter over the fields of jobs, as MongoDB writes them."""

    model_config = ConfigDict(extra="allow")


class Script(BaseModel):
    """A script; its parameters are described by a JSON Schema."""

    type: str
    name: str
    module: str | None = Field(description="Of a function; null for an executable file.")
    version: str | None = Field(description="SHA-256 of the file that it is in.")
    description: str
    parameters: dict[str, Any]


class BrokenModule(BaseModel):
    """A module of scripts that could not be loaded."""

    module: str
    error: str


class ScriptList(BaseModel):
    """All scripts, by name."""

    found: int
    scripts: list[Script]
    errors: list[BrokenModule] | None = None


class Message(BaseModel):
    """What was done."""

    status: int
    message: str


class Deleted(Message):
    """One thing was deleted."""

    acknowledged: bool


class AllDeleted(Deleted):
    """How many were deleted, of how many there were."""

    deleted: int
    total: int


class Info(Message):
    """What answers here."""

    version: str


class Evaluation(BaseModel):
    """Whether jobs may run code that they carry, and what keeps it apart."""

    allowed: bool
    isolation: Literal["bubblewrap", "process"] | None


class FullInfo(Info):
    """What answers here, and what it allows."""

    eval: Evaluation


class DataFileInfo(BaseModel):
    """A data file; its path is relative to the server's home."""

    name: str
    path: str
    size: str


class DataFileAnswer(RootModel[DataFileInfo | list[Any] | dict[str, Any]]):
    """A data file; with `format=json` its rows, or its content where that is JSON."""


class ListedDataFile(DataFileInfo):
    """A data file in a list."""

    type: str


class DataFileList(BaseModel):
    """All data files, by name."""

    found: int
    files: list[ListedDataFile]


class Uploaded(Message):
    """A data file was stored."""

    name: str
    path: str


class ErrorBody(Message):
    """Why a request was refused, and what to do."""

    errors: list[FieldProblem] | None = None


class FieldProblem(BaseModel):
    """One of several things that are wrong."""

    field: str
    problem: str


class Document(BaseModel):
    """A JSON document of a form of its own."""

    model_config = ConfigDict(extra="allow")


class Address(BaseModel):
    """A mail address."""

    email: Any = Field(None, description="The mail address.")


class Credentials(Address):
    """A user's address and password."""

    password: Any = Field(None, description="12 to 256 characters.")


class Registration(Credentials):
    """A new user."""


class Activation(BaseModel):
    """The token of a mail."""

    token: Any = Field(None, description="The token of the mail.")


class NewPassword(Activation):
    """A new password, by the token of a mail."""

    password: Any = Field(None, description="12 to 256 characters.")


class Changes(Credentials):
    """What is to be changed: a new password, a new address."""

    current_password: Any = Field(None, description="The present password.")


class User(BaseModel):
    """A user, their quotas and what they used of these."""

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


class UserList(BaseModel):
    """All users, the oldest first."""

    found: int
    users: list[User]


class Login(BaseModel):
    """Who logged in, and the token to show from now on."""

    user: User
    access_token: str
    expires_in: int


class NewToken(BaseModel):
    """A personal token to be made."""

    name: Any = Field(None, description="What it is for.")
    scopes: Any = Field(None, description="What it is good for: read, write, run.")


class Token(BaseModel):
    """A personal token, without itself."""

    id: str = Field(alias="_id")
    name: str
    scopes: list[str]
    created: str


class MadeToken(Token):
    """A personal token, shown this once."""

    token: str


class TokenList(BaseModel):
    """A user's personal tokens."""

    found: int
    tokens: list[Token]
