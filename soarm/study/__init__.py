"""The study: every variant of the method and every baseline, trained with several seeds on one budget, in one table and one figure."""
