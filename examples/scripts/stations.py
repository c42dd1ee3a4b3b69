"""Statistics of gauging stations."""

import pandas as pd


def peak(data: pd.DataFrame) -> dict[str, object]:
    """Return the station's name and its largest discharge, in m³/s."""
    return {"station": str(data["station"].iloc[0]), "peak": float(data["discharge"].max())}
