"""Driving the arm by hand and recording it: leader arm, keyboard, gamepad; the same recorder as scripted demonstrations."""
