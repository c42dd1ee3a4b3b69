"""Draw the figures of the shipped scripts, from what the scripts return for a made-up catchment.

``make docs`` writes ``reference/figures/<script>.svg``; a test fails when one is out of date.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jobserver import scripts

FOLDER = Path(__file__).parent / "reference" / "figures"
#: Area of the catchment in km².
AREA = 120.0
_BLUE, _ORANGE, _GREY = "#38618c", "#c8553d", "#8a9bad"
_STYLE: dict[Any, Any] = {
    **{"svg.fonttype": "none", "svg.hashsalt": "jobserver", "font.size": 9},
    **{"axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.0},
    **{"legend.frameon": False, "path.simplify": False},
}


def catchment(years: int = 12) -> pd.DataFrame:
    """Return daily precipitation and evaporation in mm, and flow in m³/s, from November 2008 on.

    Rain falls on days that follow each other; a soil fills and feeds a fast and a slow reservoir.
    """
    random = Random(8)  # noqa: S311 - the same numbers in every version of Python
    days = pd.date_range("2008-11-01", periods=round(365.25 * years))
    wet, soil, fast, slow = False, 60.0, 2.0, 40.0
    rows = []
    for day in days:
        season = math.cos(2 * math.pi * (day.day_of_year - 200) / 365)
        wet = random.random() < (0.65 if wet else 0.27)
        rain = -(7 + 1.5 * season) * math.log(1 - random.random()) if wet else 0.0
        evaporation = min(1.6 + 1.4 * season, soil / 20)
        soil += rain - evaporation
        excess = max(0.0, soil - 100) + 0.12 * rain * min(soil, 100) / 100
        soil -= excess
        fast, slow = fast + 0.55 * excess, slow + 0.45 * excess
        depth = 0.38 * fast + 0.022 * slow
        fast, slow = 0.62 * fast, 0.978 * slow
        rows.append((rain, evaporation, depth * AREA / 86.4))
    return pd.DataFrame(rows, days, ["precipitation", "evaporation", "flow"])


def _year(data: pd.DataFrame) -> pd.DataFrame:
    return data["2012-11":"2013-10"]


def _summary(axes: Axes, data: pd.DataFrame) -> None:
    flow = _year(data)[["flow"]]
    found = scripts.summary(flow)["flow"]
    axes.plot(flow, color=_GREY)
    for name in ("25%", "mean", "75%", "max"):
        color = _ORANGE if name == "mean" else _BLUE
        axes.axhline(found[name], color=color, linewidth=0.8)
        axes.annotate(name, (1.0, found[name]), xycoords=("axes fraction", "data"), va="center")
    axes.set(ylabel="flow [m³/s]")


def _resample(axes: Axes, data: pd.DataFrame) -> None:
    rain = data["2012-11-24":"2013-10"][["precipitation"]]
    found = scripts.resample(rain, "MS", "sum")["precipitation"]
    complete = scripts.resample(rain, "MS", "sum", coverage=0.9)["precipitation"]
    axes.bar(found.index, found, 27, align="edge", color="none", edgecolor=_GREY, label="MS, sum")
    axes.bar(found.index, complete, 27, align="edge", color=_BLUE, label="with coverage 0.9")
    axes.set(ylabel="precipitation [mm]")
    axes.legend()


def _rolling(axes: Axes, data: pd.DataFrame) -> None:
    flow = _year(data)[["flow"]]
    axes.plot(flow, color=_GREY, label="daily")
    axes.plot(scripts.rolling(flow, "30D"), color=_ORANGE, label="30D, mean")
    axes.plot(scripts.rolling(flow, "30D", "min"), color=_BLUE, label="30D, min")
    axes.set(ylabel="flow [m³/s]")
    axes.legend()


def _gaps(axes: Axes, data: pd.DataFrame) -> None:
    flow = _year(data)[["flow"]].copy()
    flow["2013-01-10":"2013-01-31"] = math.nan
    flow = flow.drop(pd.date_range("2013-05-03", "2013-05-20"))
    flow["2013-08-15":"2013-08-15"] = math.nan
    axes.plot(flow.asfreq("D"), color=_BLUE)
    for gap in scripts.gaps(flow).itertuples():
        axes.axvspan(gap.before, gap.after, color=_ORANGE, alpha=0.3, linewidth=0)
        axes.annotate(f"{gap.missing}", (gap.before, axes.get_ylim()[1]), va="top")
    axes.set(ylabel="flow [m³/s]")


def _flow_duration_curve(axes: Axes, data: pd.DataFrame) -> None:
    found = scripts.flow_duration_curve(_year(data), "flow")
    axes.semilogy(found["exceedance"], found["flow"], color=_BLUE)
    low = scripts.flow_duration_curve(_year(data), "flow", [95])["flow"].iloc[0]
    axes.plot([95, 95], [axes.get_ylim()[0], low], color=_ORANGE)
    axes.annotate(f"Q95 = {low:.2f}", (94, low), ha="right", va="top")
    axes.set(xlabel="time exceeded [%]", ylabel="flow [m³/s]")


def _baseflow(axes: Axes, data: pd.DataFrame) -> None:
    found = scripts.baseflow(_year(data), "flow")
    axes.plot(found["flow"], color=_GREY, label="flow")
    axes.fill_between(found.index, found["baseflow"], color=_BLUE, label="baseflow", linewidth=0)
    axes.set(ylabel="flow [m³/s]", title=f"BFI {found['bfi'].iloc[0]:.2f}")
    axes.legend()


def _return_periods(axes: Axes, data: pd.DataFrame) -> None:
    years = [1.05, 1.2, 1.5, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100]
    found = scripts.return_periods(data, "flow", periods=years)
    maxima, floods = pd.DataFrame(found["maxima"]), pd.DataFrame(found["floods"])
    axes.semilogx(maxima["return_period"], maxima["flood"], "o", color=_GREY, label="maxima")
    axes.plot(floods["return_period"], floods["gumbel"], color=_BLUE, label="gumbel")
    axes.plot(floods["return_period"], floods["gev"], color=_ORANGE, label="gev")
    axes.set(xlabel="return period [years]", ylabel="flow [m³/s]")
    axes.set_xticks(ticks := [1, 2, 5, 10, 20, 50, 100], list(map(str, ticks)))
    axes.legend()


def _water_balance(axes: Axes, data: pd.DataFrame) -> None:
    found = scripts.water_balance(data, "precipitation", "flow", AREA, "evaporation")
    year = found["year"]
    axes.bar(year - 0.2, found["precipitation"], 0.36, color=_GREY, label="precipitation")
    axes.bar(year + 0.2, found["flow"], 0.36, color=_BLUE, label="flow")
    axes.bar(
        year + 0.2, found["evaporation"], 0.36, found["flow"], color=_ORANGE, label="evaporation"
    )
    axes.set(ylabel="mm in a year", ylim=(0, 1.25 * found["precipitation"].max()))
    axes.set_xticks(year)
    axes.legend(ncols=3, loc="upper left")


DRAWINGS: dict[str, Callable[[Axes, pd.DataFrame], None]] = {
    "summary": _summary,
    "resample": _resample,
    "rolling": _rolling,
    "gaps": _gaps,
    "flow_duration_curve": _flow_duration_curve,
    "baseflow": _baseflow,
    "return_periods": _return_periods,
    "water_balance": _water_balance,
}


def svg(name: str) -> str:
    """Return the figure of a script."""
    data = catchment()
    with mpl.rc_context(_STYLE):
        if name == "plot":
            figure = scripts.plot(_year(data), ["precipitation", "evaporation"], unit="mm")
        else:
            figure = Figure(figsize=(7, 2.6), layout="constrained")
            DRAWINGS[name](figure.add_subplot(), data)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r' d="[^"]*"', _rounded, drawn.getvalue())
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _rounded(path: re.Match[str]) -> str:
    """Return a path of an SVG with coordinates that a screen can show."""
    points = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}", path[0])
    return re.sub(r"\s+", " ", points)


if __name__ == "__main__":
    logging.disable()
    FOLDER.mkdir(exist_ok=True)
    for script in (*DRAWINGS, "plot"):
        (FOLDER / f"{script}.svg").write_text(svg(script), encoding="utf-8")
