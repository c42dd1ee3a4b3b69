"""Figures of a real server over real HTTP: ``python -m benchmarks``; see the README beside this."""
