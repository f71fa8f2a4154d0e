"""Review by native speakers: which pairs they see, the page they mark them on, and what their marks say."""
