"""A data set made of pairs: which of them, in which form, under which licences, with a card that says so."""
