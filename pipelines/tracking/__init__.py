"""Runs and model versions. The only package that knows MLflow."""
