"""The study: variants of the method and baselines, several seeds each, one budget, one table, one figure."""
