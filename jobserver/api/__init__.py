"""The REST interface: one module per resource, on the `endpoint` layer."""
