"""From trained networks to a bundle for the robot: ONNX, and the proof that it computes what torch computes."""
