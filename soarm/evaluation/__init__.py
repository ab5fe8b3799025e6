"""Judging a policy: one row per episode, failure classes, and the statistics that compare two policies on the same scenes."""
