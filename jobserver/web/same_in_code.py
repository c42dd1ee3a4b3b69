"""A job as code that does the same: for curl, Python, R and JavaScript."""

from __future__ import annotations

import json
import keyword
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from jobserver.encoding import dumps
from jobserver.storage.database import Document

#: Arguments of `Client.run` that are not parameters of a script.
_TAKEN = {"data", "datafile", "raw_data", "options", "parameters", "fields", "progress"}
#: Fields of a job that it has arguments for.
_BOUND = ("datafile", "raw_data", "data")
#: Fields of a script that is called by its name.
_PARAMETERS = {"args", "kwargs"}
_PLAIN = {"name", *_PARAMETERS}
#: Longest line, and most bytes of a job that stand in the code.
_LINE, _LARGEST = 70, 20_000
#: Integers that JavaScript may round.
_LONG = re.compile(r"\d{16}")


@dataclass(frozen=True)
class Example:
    """Code in a language.

    Attributes
    ----------
    key : str
        Name of the language in identifiers.
    language : str
        Its name.
    """

    key: str
    language: str
    code: str


@dataclass(frozen=True)
class Target:
    """What code is to do.

    Attributes
    ----------
    job_id : str
        The job to do again.
    content : dict or None
        Its fields as JSON; None to have the server copy them, as they are too large.
    server : str
        Address of the server.
    login : bool
        Whether a token is needed; it is read from the environment.
    """

    job_id: str
    content: Document | None
    server: str
    login: bool

    @property
    def request(self) -> tuple[str, str, str]:
        """The method, path and body of the request that creates the job, the body in ASCII."""
        if self.content is None:
            return "POST", f"/job/{self.job_id}/rerun", "{}"
        short = json.dumps(self.content)
        is_short = len(short) <= _LINE
        return "PUT", "/job", short if is_short else json.dumps(self.content, indent=2)


def examples(
    job_id: str, fields: Mapping[str, object], server: str, *, login: bool
) -> list[Example]:
    """Return code that creates and runs a job like one, and reads the result.

    Parameters
    ----------
    fields : mapping
        Fields of the job as a client sends them.
    server : str
        Address of the server.
    login : bool
        Whether a token is needed; it is read from the environment.
    """
    text = dumps(_without_empty(fields))
    target = Target(job_id, json.loads(text) if len(text) <= _LARGEST else None, server, login)
    return [
        Example("curl", "curl", _curl(target)),
        Example("python", "Python", _python(target)),
        Example("r", "R", _r(target)),
        Example("javascript", "JavaScript", _javascript(target)),
    ]


def _without_empty(fields: Mapping[str, object]) -> Document:
    """Return the fields without the empty parameters that the server adds to a script."""
    script = fields.get("script")
    if not isinstance(script, dict):
        return dict(fields)
    kept = {name: script[name] for name in script if name not in _PARAMETERS or script[name]}
    return {**fields, "script": kept}


def _curl(target: Target) -> str:
    method, path, body = target.request
    token = ' -H "Authorization: Bearer $JOBSERVER_TOKEN"' if target.login else ""
    return _CURL.format(
        server=shlex.quote(target.server), token=token, method=method, path=path, body=_quoted(body)
    )


def _quoted(text: str) -> str:
    """Return a text in single quotes, which a shell leaves as it is."""
    return "'" + text.replace("'", "'\\''") + "'"


def _python(target: Target) -> str:
    token = '  # token: JOBSERVER_TOKEN, or "jobserver login"' if target.login else ""
    job = f"job({target.job_id!r}).rerun()"
    if target.content is not None:
        job = f"run({_arguments(target.content)})"
    return _PYTHON.format(server=target.server, token=token, job=job)


def _arguments(content: Document) -> str:
    """Return the arguments of `Client.run`."""
    script, keywords, parameters = _script(content)
    given = {name: content[name] for name in _BOUND if name in content}
    named = {"script", "script_name", *_BOUND}
    others = {name: value for name, value in content.items() if name not in named}
    options = {**given, **keywords}
    options |= {"parameters": parameters} if parameters else {}
    options |= {"fields": others} if others else {}
    arguments = [repr(script), *(f"{name}={value!r}" for name, value in options.items())]
    line = ", ".join(arguments)
    return line if len(line) <= _LINE else "".join(f"\n    {each}," for each in arguments) + "\n"


def _script(content: Document) -> tuple[object, Document, Document]:
    """Return the script, its parameters as keyword arguments, and those that cannot be such."""
    script = content.get("script", content.get("script_name"))
    if not isinstance(script, dict) or script.get("args") or not script.keys() <= _PLAIN:
        return script, {}, {}
    kwargs = script.get("kwargs") or {}
    if not isinstance(kwargs, dict):  # it cannot run, but has a page
        return script, {}, {}
    keywords = {name: value for name, value in kwargs.items() if _is_keyword(name)}
    return script.get("name"), keywords, {k: v for k, v in kwargs.items() if k not in keywords}


def _is_keyword(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _TAKEN


def _r(target: Target) -> str:
    method, path, body = target.request
    token = '\n    req_auth_bearer_token(Sys.getenv("JOBSERVER_TOKEN")) |>' if target.login else ""
    return _R.format(
        server=target.server, token=token, method=method, path=path, body=_raw_string(body)
    )


def _raw_string(text: str) -> str:
    """Return a raw string of R, with as many dashes as it takes to end it."""
    dashes = "-" * next(n for n in range(len(text) + 1) if f'){"-" * n}"' not in text)
    return f'r"{dashes}({text}){dashes}"'


def _javascript(target: Target) -> str:
    method, path, body = target.request
    # As text, numbers keep all digits, and no name has a meaning of its own.
    is_text = _LONG.search(body) or "__proto__" in body
    sent = json.dumps(body) if is_text else f"JSON.stringify({body})"
    token = ", Authorization: `Bearer ${process.env.JOBSERVER_TOKEN}`" if target.login else ""
    return _JAVASCRIPT.format(
        server=target.server, token=token, method=method, path=path, body=sent
    )


_CURL = """\
server={server}
send() {{  # keeps the answer, or prints the reason of a refusal; needs curl 7.76
  answer=$(curl -sS --fail-with-body{token} "$@") || {{ echo "$answer" >&2; return 1; }}
}}
send -X {method} "$server{path}" -H 'Content-Type: application/json' -d {body} &&
job=$server/job/$(grep -oE '"_id": ?"[^"]+"' <<< "$answer" | head -n 1 | cut -d '"' -f 4) &&
send -X POST "$job/run" &&
while grep -qE '"result": ?("None"|null), ?"state": ?"(queued|running)"' <<< "$answer"; do
  send "$job?wait=60" || break
done &&
{{ grep -qE '"state": ?"finished"' <<< "$answer" || {{ echo "$answer" >&2; false; }}; }} &&
curl -sS --fail-with-body{token} "$job/result"
"""
_PYTHON = """\
from jobserver.client import Client

client = Client("{server}"){token}
job = client.{job}
print(job.result())
"""
_R = """\
library(httr2)

server <- "{server}"
send <- function(method, path, body = NULL) {{
  sent <- request(paste0(server, path)) |>
    req_method(method) |>{token}
    req_url_query(stringify = "false") |>
    req_error(body = function(answer) resp_body_json(answer)$message)
  if (!is.null(body)) sent <- req_body_raw(sent, body, "application/json")
  resp_body_json(req_perform(sent), simplifyVector = TRUE)
}}

job <- send("{method}", "{path}", {body})
path <- paste0("/job/", job[["_id"]])
job <- send("POST", paste0(path, "/run"))
while (job$state %in% c("queued", "running")) {{
  Sys.sleep(0.5)
  job <- send("GET", path)
}}
if (job$state != "finished") stop(job$message)
print(send("GET", paste0(path, "/result")))
"""
_JAVASCRIPT = """\
const server = "{server}";

async function send(method, path, body) {{
  const headers = {{ "Content-Type": "application/json"{token} }};
  const response = await fetch(server + path, {{ method, headers, body }});
  const content = await response.json();
  if (!response.ok) throw new Error(content.message);
  return content;
}}

let job = await send("{method}", "{path}?stringify=false", {body});
const path = `/job/${{job._id}}`;
job = await send("POST", `${{path}}/run?wait=60&stringify=false`);
while (["queued", "running"].includes(job.state)) {{
  job = await send("GET", `${{path}}?wait=60&stringify=false`);
}}
if (job.state !== "finished") throw new Error(job.message);
console.log(await send("GET", `${{path}}/result`));
"""
