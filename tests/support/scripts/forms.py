"""A script with parameters of many kinds, for the form of a new job."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, Field


class Station(BaseModel):
    """A gauge."""

    name: str
    height: Annotated[float, Field(le=9000)] = 0.0


def survey(  # noqa: PLR0913, PLR0917 - of each kind one
    data: pd.DataFrame,
    label: Annotated[str, Field(max_length=8)],
    rate: Annotated[float, Field(ge=0, le=1)] = 0.5,
    method: Literal["linear", "cubic"] = "linear",
    start: date | None = None,
    column: str | list[str] | None = None,
    stations: list[Station] | None = None,
    limit: int | None = 7,
    extra: Any = None,
) -> dict[str, Any]:
    """Return its arguments: `label` and others, <b>as they are</b>.

    Parameters
    ----------
    rate
        How fast it is.
    """
    names = [station.name for station in stations or []]
    given = {"label": label, "rate": rate, "method": method, "start": str(start), "limit": limit}
    return {**given, "column": column, "names": names, "extra": extra, "rows": len(data)}
