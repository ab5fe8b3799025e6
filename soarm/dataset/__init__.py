"""LeRobot v3.0 datasets: recorder, in-memory reader, checks and edits. Knows no simulator and no network."""
