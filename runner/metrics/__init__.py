"""The arithmetic of the reports: set-based SQL and statistics, each tested against tables worked out by hand."""
