"""`python -m soarm` is the command `soarm`."""

from soarm import entry

entry.soarm()
