"""What the device says about itself, and the links that carry it. Bounded; what a bound cost is counted and told."""
