"""`make bench`: what inferd costs, measured as ratios within one run."""
