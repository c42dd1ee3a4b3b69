"""Floods by their return periods."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt, Le, MinLen

from jobserver.scripts.shipped.columns import check_not_negative, one_series
from jobserver.scripts.shipped.steps import Share, Zone
from jobserver.scripts.shipped.years import Month, complete_years, years_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: A return period in years.
Years = Annotated[float, Gt(1), Le(1e6)]
#: Euler's constant.
_EULER = 0.5772156649015329
#: Shape below which the GEV distribution is the Gumbel distribution, to the precision of a float.
_ALMOST_GUMBEL = 1e-6
#: Shapes of GEV distributions that have L-moments and occur.
_SHAPES = (-1 + 1e-9, 100.0)
#: Shape beyond which a fit is implausible: there are too few data, or outliers.
_EXTREME = 0.5
#: Years that a distribution of three parameters needs.
_FEWEST = 3
#: Return periods beyond so many times the length of the data are far extrapolations.
_FAR = 3
_log = logging.getLogger("jobserver")


def return_periods(
    data: pd.DataFrame,
    column: str | None = None,
    time: str | None = None,
    periods: Annotated[list[Years], MinLen(1)] | None = None,
    start_month: Month = 11,
    coverage: Share = 0.95,
    zone: Zone | None = None,
) -> dict[str, Any]:
    """Estimate the floods that are reached once in 2, 5, 10, 20, 50 and 100 years.

    The Gumbel and the generalized extreme value (GEV) distribution are fitted to the maxima of the
    hydrological years by L-moments. Incomplete years are left out, and the log names them.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times at a regular step, such as daily or hourly discharge, or with one value
        for each year.
    column : str
        The column to use, if several have numbers.
    time : str
        The column of times, if there are several.
    periods : list of float
        Return periods in years, greater than 1; by default those above.
    start_month : int
        Month in which the hydrological years begin: 11 for November, 10 for October, 1 for calendar
        years. A year has the number of the calendar year in which it ends.
    coverage : float
        Share of its values that a year must have to be used.
    zone : str
        IANA name of a time zone, such as ``Europe/Berlin``, or its offset from UTC, such as
        ``+01:00``, in which the years begin. Times without a zone are taken as UTC.

    Returns
    -------
    dict
        ``floods``, a list of rows: ``return_period`` in years, and the floods by ``gumbel`` and
        ``gev`` in the unit of the column. ``maxima``, a list of the k years in order: ``year``,
        ``time`` of the maximum (in UTC, if times have a zone or `zone` is given), its value
        ``flood``, and ``return_period``, its plotting position in years.
        ``gumbel`` and ``gev``: ``location`` and ``scale`` in the unit of the column, and the
        ``shape`` of the GEV distribution, which is positive if floods have an upper bound.

    Raises
    ------
    ValueError
        If there are no times, several columns and none is named, a flow is negative, there are
        fewer than three complete years, or all maxima are equal.

    Notes
    -----
    The L-moments l1, l2 and t3 = l3 / l2 are unbiased sample estimates [1]_. The Gumbel
    distribution has the scale l2 / ln 2 and the location l1 - 0.5772 scale. The shape k of the GEV
    distribution solves 2 (1 - 3^-k) / (1 - 2^-k) - 3 = t3 exactly; [2]_ gives an approximation that
    other programs use. The i-th largest of k maxima has the plotting position
    (k + 0.2) / (i - 0.4) [3]_.

    References
    ----------
    .. [1] J. R. M. Hosking (1990): L-moments: Analysis and estimation of distributions using linear
       combinations of order statistics. Journal of the Royal Statistical Society B 52 (1), 105-124.
    .. [2] J. R. M. Hosking, J. R. Wallis and E. F. Wood (1985): Estimation of the generalized
       extreme-value distribution by the method of probability-weighted moments. Technometrics
       27 (3), 251-261. doi:10.1080/00401706.1985.10488049
    .. [3] C. Cunnane (1978): Unbiased plotting positions: a review. Journal of Hydrology 37,
       205-222. doi:10.1016/0022-1694(78)90017-3
    """
    import numpy as np
    import pandas as pd

    maxima = _maxima(one_series(data, column, time, zone), start_month, coverage)
    moments = l_moments(maxima["flood"].to_numpy("float64"))
    gumbel, gev = fit_gumbel(*moments[:2]), fit_gev(*moments)
    years = np.asarray([2, 5, 10, 20, 50, 100] if periods is None else periods, "float64")
    _log_doubtful(gev["shape"], years.max(), len(maxima))
    floods = {"gumbel": quantiles(years, **gumbel), "gev": quantiles(years, **gev)}
    return {
        "floods": pd.DataFrame({"return_period": years, **floods}).to_dict("records"),
        "maxima": maxima.to_dict("records"),
        "gumbel": gumbel,
        "gev": gev,
    }


def _log_doubtful(shape: float, longest: float, number: int) -> None:
    """Log if the shape of the GEV distribution or the longest period goes beyond the data."""
    if abs(shape) > _EXTREME:
        _log.warning("the shape %.2g of gev is implausible: check the maxima, or use gumbel", shape)
    if longest > _FAR * number:
        _log.warning("a return period of %g years is far beyond the data of %d", longest, number)


def _maxima(flow: pd.Series[float], start_month: int, coverage: float) -> pd.DataFrame:
    """Return the maximum of each complete year with its time and plotting position."""
    import pandas as pd

    check_not_negative(flow)
    complete = complete_years(flow.to_frame(), start_month, coverage, _FEWEST)
    groups = flow.groupby(years_of(flow.index, start_month))
    times = groups.idxmax()[complete]
    floods = flow[times].to_numpy("float64")
    if flow.index.tz is not None:
        times = times.dt.tz_convert("UTC")
    ranks = pd.Series(floods).rank(ascending=False, method="first").to_numpy()
    position = (len(floods) + 0.2) / (ranks - 0.4)
    return pd.DataFrame(
        {"year": complete, "time": times.array, "flood": floods, "return_period": position}
    )


def l_moments(values: np.ndarray) -> tuple[float, float, float]:
    """Return the first two sample L-moments, unbiased, and the L-skewness.

    Raises
    ------
    ValueError
        If all values are equal.
    """
    import numpy as np

    ordered, n = np.sort(values), len(values)
    if ordered[0] == ordered[-1]:
        raise ValueError(
            f"All {n} annual maxima are {ordered[0]:g}: nothing can be fitted to them."
        )
    below = np.arange(n)
    weights = (np.ones(n), below / (n - 1), below * (below - 1) / ((n - 1) * (n - 2)))
    b0, b1, b2 = (float(np.mean(weight * ordered)) for weight in weights)
    return b0, 2 * b1 - b0, (6 * b2 - 6 * b1 + b0) / (2 * b1 - b0)


def fit_gumbel(mean: float, spread: float) -> dict[str, float]:
    """Return location and scale of the Gumbel distribution with these first two L-moments."""
    scale = spread / math.log(2)
    return {"location": mean - _EULER * scale, "scale": scale}


def fit_gev(mean: float, spread: float, skewness: float) -> dict[str, float]:
    """Return location, scale and shape of the GEV distribution with these L-moments."""
    low, high = _SHAPES
    for _ in range(100):  # bisection: the skewness falls with the shape
        shape = (low + high) / 2
        low, high = (shape, high) if _gev_skewness(shape) > skewness else (low, shape)
    if abs(shape) < _ALMOST_GUMBEL:
        return {**fit_gumbel(mean, spread), "shape": 0.0}
    gamma = math.gamma(1 + shape)
    scale = -spread * shape / (gamma * math.expm1(-shape * math.log(2)))
    return {"location": mean - scale * (1 - gamma) / shape, "scale": scale, "shape": shape}


def _gev_skewness(shape: float) -> float:
    if abs(shape) < _ALMOST_GUMBEL:
        return 2 * math.log(3) / math.log(2) - 3
    return 2 * math.expm1(-shape * math.log(3)) / math.expm1(-shape * math.log(2)) - 3


def quantiles(years: np.ndarray, location: float, scale: float, shape: float = 0.0) -> np.ndarray:
    """Return the floods of some return periods."""
    import numpy as np

    reduced = -np.log(-np.log1p(-1 / years))
    if shape == 0:
        return np.asarray(location + scale * reduced)
    return np.asarray(location - scale * np.expm1(-shape * reduced) / shape)
