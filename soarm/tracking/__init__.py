"""Experiment tracking: the only door to MLflow and other trackers. All else logs through `Tracker`, which writes nothing."""
