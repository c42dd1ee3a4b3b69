"""What is stored and what is run: jobs, data files, processes."""
