"""Studies behind `validate_lattice.py`: pictures whose truth and bound are exact, and scores."""
