"""The data that jobs can bind: data files, and data stored in MongoDB."""
