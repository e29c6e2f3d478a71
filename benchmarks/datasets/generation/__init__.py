"""Behaviour policies, their training, and the data sets that they generate."""
