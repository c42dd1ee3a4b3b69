"""The page of the shipped scripts shows all of them, with figures of what they return."""

from __future__ import annotations

import re

import pytest

from docs import figures
from jobserver.scripts.registry import Registry, ScriptSources

SCRIPTS = [each["name"] for each in Registry.load(ScriptSources(None)).describe()["scripts"]]
PAGE = (figures.FOLDER.parent / "shipped-scripts.md").read_text("utf-8")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def parts(drawing: str) -> tuple[str, list[float]]:
    """Return an SVG without its numbers and generated ids, and the numbers."""
    plain = re.sub(r'(?<=id=")\w+|(?<=#)\w+', "", drawing)
    return NUMBER.sub("", plain), [float(number) for number in NUMBER.findall(plain)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_a_section_and_a_figure(name: str) -> None:
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert f"](figures/{name}.svg)" in section
    assert f"autofunction:: jobserver.scripts.{name}\n" in section


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_figure_is_up_to_date(name: str) -> None:
    kept = (figures.FOLDER / f"{name}.svg").read_text("utf-8")
    text, numbers = parts(kept)
    drawn_text, drawn = parts(figures.svg(name))
    assert text == drawn_text, "run: make docs"
    assert numbers == pytest.approx(drawn, abs=0.2), "run: make docs"
    assert len(kept) < 40_000


def test_there_is_no_other_figure() -> None:
    assert sorted(path.stem for path in figures.FOLDER.iterdir()) == sorted(SCRIPTS)


def test_the_catchment_keeps_its_water() -> None:
    data = figures.catchment()
    flow = data["flow"].sum() * 86.4 / figures.AREA
    stored = data["precipitation"].sum() - data["evaporation"].sum() - flow
    assert abs(stored) < 300  # mm in soil and reservoirs, after twelve years
