"""Shared by all resources: endpoints, errors, identity, headers, OpenAPI."""
