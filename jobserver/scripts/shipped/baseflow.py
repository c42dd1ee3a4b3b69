"""Baseflow, the slow part of the flow."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from jobserver.scripts.shipped.columns import check_not_negative, one_series
from jobserver.scripts.shipped.steps import in_words, regular_step

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Method = Literal["lyne_hollick", "eckhardt"]
#: A number between 0 and 1.
Fraction = Annotated[float, Gt(0), Lt(1)]
#: Values by which a flow is extended at both ends, so that the filter has settled.
_REFLECTED = 30
_log = logging.getLogger("jobserver")


def baseflow(
    data: pd.DataFrame,
    column: str | None = None,
    time: str | None = None,
    method: Method = "lyne_hollick",
    alpha: Fraction | None = None,
    passes: Annotated[int, Ge(1), Le(9)] = 3,
    bfi_max: Fraction = 0.8,
) -> pd.DataFrame:
    """Separate baseflow, the slow part of the flow, from quickflow with a digital filter.

    The flow between two gaps is filtered by itself.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times at a regular step. The usual parameters are meant for daily flow.
    column : str
        The column to use, if several have numbers.
    time : str
        The column of times, if there are several.
    method : str
        ``lyne_hollick`` or ``eckhardt``.
    alpha : float
        Recession parameter for one step, between 0 and 1; by default 0.925 for ``lyne_hollick`` and
        0.98 for ``eckhardt``. The closer to 1, the smaller the baseflow.
    passes : int
        Passes of ``lyne_hollick``: forward, backward, forward...
    bfi_max : float
        Largest possible baseflow index, for ``eckhardt``: 0.8 for perennial streams on porous
        aquifers, 0.5 for ephemeral streams on porous aquifers, 0.25 for perennial streams on hard
        rock.

    Returns
    -------
    pandas.DataFrame of shape (k, 3)
        The k values of the column as ``flow``, labelled with their times, ``baseflow`` in the same
        unit, and ``bfi``, the baseflow index: the sum of all baseflow divided by that of the flow.
        It is the same in each row.

    Raises
    ------
    ValueError
        If there are no times or their step is not regular, several columns and none is named, a
        time occurs twice, or a flow is negative.

    Notes
    -----
    With the flow q and the baseflow b, which is at most q, each pass of the filter of Lyne and
    Hollick is ``b[i] = alpha b[i-1] + (1 - alpha) / 2 (q[i] + q[i-1])``, where q is the baseflow of
    the pass before [1]_, [2]_. The flow is reflected at both ends for 30 values, as in [3]_, and
    each pass starts with b = q. The filter of Eckhardt [4]_ starts with b = bfi_max q:
    ``b[i] = ((1 - bfi_max) alpha b[i-1] + (1 - alpha) bfi_max q[i]) / (1 - alpha bfi_max)``.

    References
    ----------
    .. [1] V. Lyne and M. Hollick (1979): Stochastic time-variable rainfall-runoff modelling.
       Hydrology and Water Resources Symposium, Institution of Engineers Australia, Perth, 89-92.
    .. [2] R. J. Nathan and T. A. McMahon (1990): Evaluation of automated techniques for base flow
       and recession analyses. Water Resources Research 26 (7), 1465-1473.
       doi:10.1029/WR026i007p01465
    .. [3] A. R. Ladson, R. Brown, B. Neal and R. Nathan (2013): A standard approach to baseflow
       separation using the Lyne and Hollick filter. Australian Journal of Water Resources 17 (1),
       25-34.
    .. [4] K. Eckhardt (2005): How to construct recursive digital filters for baseflow separation.
       Hydrological Processes 19 (2), 507-515. doi:10.1002/hyp.5675
    """
    import numpy as np
    import pandas as pd

    flow = one_series(data, column, time).astype("float64")
    check_not_negative(flow)
    if method == "lyne_hollick":
        parts = [_lyne_hollick(part, alpha or 0.925, passes) for part in _unbroken(flow)]
    else:
        parts = [_eckhardt(part, alpha or 0.98, bfi_max) for part in _unbroken(flow)]
    base = np.concatenate(parts)
    index = base.sum() / flow.sum() if flow.sum() else np.nan
    return pd.DataFrame({"flow": flow, "baseflow": base, "bfi": index}, flow.index)


def _unbroken(flow: pd.Series[float]) -> list[np.ndarray]:
    """Return the flows between gaps, which are logged, as is a step other than a day."""
    import numpy as np
    import pandas as pd

    step = regular_step(flow.index, "The filter")
    if step != pd.Timedelta(1, "D"):
        _log.warning("the usual alpha is meant for daily flow, but the step is %s", in_words(step))
    starts = np.flatnonzero(flow.index.to_series().diff() > 1.5 * step)
    if len(starts):
        _log.warning("gaps in the flow: %d; each part is filtered by itself", len(starts))
    return np.split(flow.to_numpy(), starts)


def _lyne_hollick(flow: np.ndarray, alpha: float, passes: int) -> np.ndarray:
    import numpy as np

    extra = min(_REFLECTED, len(flow) - 1)
    base = np.pad(flow, extra, mode="reflect").tolist()
    for number in range(passes):
        ordered = base if number % 2 == 0 else base[::-1]
        found = ordered[:1]
        for before, now in pairwise(ordered):
            found.append(min(now, alpha * found[-1] + (1 - alpha) / 2 * (now + before)))
        base = found if number % 2 == 0 else found[::-1]
    return np.asarray(base[extra : extra + len(flow)])


def _eckhardt(flow: np.ndarray, alpha: float, bfi_max: float) -> np.ndarray:
    import numpy as np

    old = (1 - bfi_max) * alpha / (1 - alpha * bfi_max)
    new = (1 - alpha) * bfi_max / (1 - alpha * bfi_max)
    base = [bfi_max * float(flow[0])]
    for now in flow[1:].tolist():
        base.append(min(now, old * base[-1] + new * now))
    return np.asarray(base)
