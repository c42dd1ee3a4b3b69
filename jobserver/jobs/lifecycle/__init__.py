"""The changes of a job's state, each one guarded update."""
