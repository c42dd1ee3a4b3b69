"""Lists of jobs: selected, found by an index, counted."""
