"""Demonstrations to a policy for the SO-ARM100: record, ACT, residual TD3+BC, ONNX, robot."""
