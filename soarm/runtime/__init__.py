"""The robot host: exported policies without torch. Needs numpy and onnxruntime alone."""
