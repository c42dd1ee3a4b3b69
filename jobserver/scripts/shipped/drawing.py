"""Plots of time series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobserver.scripts.shipped.columns import Columns, timetable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def plot(
    data: pd.DataFrame,
    column: Columns | None = None,
    title: str = "",
    unit: str = "",
    time: str | None = None,
) -> Figure:
    """Draw a time series as a line.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times.
    column : str or list of str
        The columns to plot; by default all numeric ones.
    title : str
        Title of the plot.
    unit : str
        Unit of the values, for the label of the axis.
    time : str
        The column of times, if there are several.

    Returns
    -------
    matplotlib.figure.Figure
        The result of the job is a PNG image of 1000 by 400 pixels.

    Raises
    ------
    ValueError
        If there are no times or no such numeric column, or several columns of times and none is
        named.
    RuntimeError
        If matplotlib is not installed.

    References
    ----------
    .. [1] W. S. Cleveland (1994): The Elements of Graphing Data. Revised edition, Hobart Press.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeError(
            "plot needs matplotlib, which the server lacks: pip install 'jobserver-rest[plot]'"
        ) from error
    table = timetable(data, column, time)
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for name, values in table.items():
        axes.plot(table.index.to_numpy(), values.to_numpy(), linewidth=0.8, label=name)
    axes.set(title=title, ylabel=" ".join([", ".join(table), unit and f"[{unit}]"]).strip())
    axes.margins(x=0)
    if table.shape[1] > 1:
        axes.legend()
    return figure
