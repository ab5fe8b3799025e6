"""The SO-ARM100 in MuJoCo: scene, task, environments, scripted expert, camera. Knows no learning."""
