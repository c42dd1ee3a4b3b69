"""The scripts that come along."""
