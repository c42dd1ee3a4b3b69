"""Snow melt by the degree-day method."""


def melt(data: list[float], factor: float = 4.0, threshold: float = 0.0) -> list[float]:
    """Return the potential melt of each day, in mm.

    Parameters
    ----------
    data : list of float
        Mean temperature of each day, in °C.
    factor : float
        Degree-day factor, in mm per °C and day.
    threshold : float
        Temperature above which snow melts, in °C.
    """
    return [factor * max(temperature - threshold, 0.0) for temperature in data]
