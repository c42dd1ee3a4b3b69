"""The scripts shipped with the server."""
