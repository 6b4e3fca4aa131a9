"""Validation of the chains measurement on simulated truth varied in its physics."""
