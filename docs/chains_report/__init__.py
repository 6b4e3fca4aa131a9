"""Stages of docs/make_chains_report.py: images and labels, bodies found, scores, the page."""
