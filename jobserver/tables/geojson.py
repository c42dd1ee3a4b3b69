"""The features of GeoJSON as the rows of a table."""

from __future__ import annotations

import logging

from jobserver.tables.errors import UnreadableTable

_log = logging.getLogger("jobserver")


def feature_properties(value: object, name: str) -> list[dict[str, object]]:
    """Return the properties of each feature, with its ``id`` if it has one.

    Parameters
    ----------
    value : Any
        GeoJSON: a FeatureCollection.
    name : str
        The file, for the warning in the job's log that geometries are left out.

    Raises
    ------
    UnreadableTable
        If it is something else.
    """
    features = value.get("features") if isinstance(value, dict) else None
    if not isinstance(features, list) or not all(isinstance(f, dict) for f in features):
        raise UnreadableTable('is not a FeatureCollection: set "datatype": "json"')
    rows = []
    for feature in features:
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise UnreadableTable('has properties that are not objects: set "datatype": "json"')
        label = {"id": feature["id"]} if "id" in feature else {}
        rows.append({**label, **properties})
    if any(feature.get("geometry") for feature in features):
        _log.warning("%s: the table is without the geometries of the features", name)
    return rows
