"""Claims of arXiv 2412.06534 put to the records of a suite: statistics, intervals and verdicts fixed in advance."""
