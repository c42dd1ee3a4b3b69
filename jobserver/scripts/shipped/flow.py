"""Flow-duration curves."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Lt

from jobserver.scripts.shipped.columns import check_not_negative, one_column

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_log = logging.getLogger("jobserver")


def flow_duration_curve(
    data: pd.DataFrame,
    column: str | None = None,
    exceedances: list[Annotated[float, Gt(0), Lt(100)]] | None = None,
) -> pd.DataFrame:
    """Compute the percentage of time for which each flow is equalled or exceeded.

    Missing values are ignored.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table; times are not needed.
    column : str
        The column to use, if several have numbers.
    exceedances : list of float
        Percentages of time to return flows for: ``[95]`` returns the low flow Q95. By default all
        n flows are returned.

    Returns
    -------
    pandas.DataFrame
        ``exceedance``, in percent and increasing, and the flow, in the unit of the column. Flows
        too rare for the length of the data are missing, and the log names them.

    Raises
    ------
    ValueError
        If there is no such numeric column, or several and none is named, or a flow is negative.

    Notes
    -----
    The i-th largest of n flows is exceeded in 100 i / (n + 1) percent of the time (the Weibull
    plotting position), as in [1]_. Flows between ranks are interpolated linearly.

    References
    ----------
    .. [1] R. M. Vogel and N. M. Fennessey (1994): Flow-duration curves. I: New interpretation and
       confidence intervals. Journal of Water Resources Planning and Management 120 (4), 485-504.
       doi:10.1061/(ASCE)0733-9496(1994)120:4(485)
    """
    import numpy as np
    import pandas as pd

    flow = one_column(data, column)
    check_not_negative(flow)
    flow = flow.dropna().sort_values(ascending=False)
    ranks = np.arange(1, len(flow) + 1)
    percent, flows = 100 * ranks / (len(flow) + 1), flow.to_numpy("float64")
    if exceedances is not None:
        wanted = np.sort(np.asarray(exceedances, "float64"))
        found = np.interp(wanted, percent, flows, np.nan, np.nan) if len(flow) else wanted * np.nan
        _log_doubtful(wanted, percent)
        percent, flows = wanted, found
    return pd.DataFrame({"exceedance": percent, str(flow.name): flows})


def _log_doubtful(wanted: np.ndarray, percent: np.ndarray) -> None:
    """Log which exceedances are beyond those of the data, and which seem to be shares."""
    low, high = (percent[0], percent[-1]) if len(percent) else (math.inf, -math.inf)
    beyond = [f"{each:g}" for each in wanted if not low <= each <= high]
    if beyond:
        _log.warning(
            "missing, as %d values are too few for them: the flows of exceedances %s",
            *(len(percent), ", ".join(beyond)),
        )
    if len(wanted) and wanted.max() <= 1:
        _log.warning(
            "exceedances are in percent: write %g if %g is a share of the time",
            *(100 * wanted.max(), wanted.max()),
        )
