"""The pages of the scripts: all of them, and each with its parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import cast

from flask import Response
from jinja2.utils import htmlsafe_json_dumps

from jobserver.api.scripts import ScriptQuery, list_scripts, read_script
from jobserver.storage.database import Document
from jobserver.web.pages import page, render

#: An indented block of a docstring: code.
_CODE = re.compile(r"(?:[ \t]+\S.*\n?)+")


@page("/scripts", policy="scripts.read")
def show_scripts() -> Response:
    """Show all scripts, and why others could not be loaded."""
    return render("scripts.html", found=list_scripts().content)


@page("/script/<name>", policy="scripts.read", query=ScriptQuery, refusals=(404,))
def show_script(name: str, query: ScriptQuery) -> Response:
    """Show what a script does, and its parameters."""
    script = cast(Document, read_script(name, query).content)
    return render(
        "script.html",
        script=script,
        address=name,
        # The filter of templates would sort the parameters.
        schema=htmlsafe_json_dumps(script["parameters"], dumps=json.dumps),
        paragraphs=[*_paragraphs(script["description"])],
    )


def _paragraphs(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the paragraphs of a docstring, and whether each is code."""
    for part in re.split(r"\n[ \t]*\n", text):
        if part.strip():
            yield bool(_CODE.fullmatch(part)), part.strip("\n")
