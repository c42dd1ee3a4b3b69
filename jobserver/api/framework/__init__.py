"""What all resources share: declarations, errors, identity, headers, OpenAPI."""
