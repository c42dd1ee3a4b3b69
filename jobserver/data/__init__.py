"""What scripts get: data files and stored data, wherever they are kept."""
