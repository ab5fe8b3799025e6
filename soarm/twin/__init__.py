"""The twin: an SO-ARM100 in MuJoCo behind an emulated servo bus on a pseudo-terminal."""
