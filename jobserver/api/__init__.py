"""The REST interface: one module for each resource, on the `endpoint` layer."""
