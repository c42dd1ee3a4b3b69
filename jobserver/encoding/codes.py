"""Numbers that stand for missing values in published tables."""

from __future__ import annotations

import re

#: -999, 9999, -99.9, -777, -32768, 999999999999, and whatever is too large to be measured, such as
#: 1e+20 and the least float: numbers as ``.15g`` writes them.
MISSING_CODE = re.compile(
    r"-9{2,}(\.9+)?|9{3,}|-?9+\.9+|-7{3,}|-8{3,}(\.8+)?|-?7999|-?3276[78]|-?6999|.+e\+.+"
)
