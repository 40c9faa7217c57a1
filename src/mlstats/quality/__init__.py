"""The quality framework: statistics of the scorecard, gates and reports."""
