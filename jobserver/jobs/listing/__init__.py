"""Lists of jobs: what is asked for, how it is found, and how much there is."""
