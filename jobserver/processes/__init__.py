"""The kinds of processes that run a script: function, file, eval, pipeline, map."""
