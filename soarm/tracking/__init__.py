"""Experiment tracking: the only door to MLflow. Everything else logs through `Tracker`, whose base class writes nothing."""
