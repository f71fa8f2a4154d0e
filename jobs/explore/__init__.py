"""Other thresholds on stored scores: what they would keep and reject, without running a model."""
