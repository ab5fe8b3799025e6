"""Experiment tracking: the only door to MLflow. Everything else logs through `Tracker`, and off is a null object."""
