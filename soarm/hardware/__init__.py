"""The arm on its servo bus: registers, bus, calibration, driver. Needs numpy and the servo SDK alone."""
