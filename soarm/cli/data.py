"""Commands of this group come here."""
