"""Settings found by trying them: a search inside time-series cross-validation, blind to the test part."""
