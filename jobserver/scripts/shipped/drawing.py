"""Plots of time series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobserver.scripts.shipped.timeseries import column_of, timetable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def plot(data: pd.DataFrame, column: str | None = None, title: str = "", unit: str = "") -> Figure:
    """Draw a time series as a line.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times.
    column : str
        The column to plot; by default all numeric columns.
    title : str
        Title of the plot.
    unit : str
        Unit of the values, for the label of the axis.

    Returns
    -------
    matplotlib.figure.Figure
        The result of the job is a PNG image of 1000 by 400 pixels.

    Raises
    ------
    ValueError
        If there are no times or no such numeric column.
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
    table = timetable(data)
    if column is not None:
        table = column_of(table, column).to_frame()
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for name, values in table.items():
        axes.plot(table.index.to_numpy(), values.to_numpy(), linewidth=0.8, label=str(name))
    axes.set(
        title=title, ylabel=" ".join([", ".join(map(str, table)), unit and f"[{unit}]"]).strip()
    )
    axes.margins(x=0)
    if table.shape[1] > 1:
        axes.legend()
    return figure
