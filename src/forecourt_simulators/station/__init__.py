"""Virtual dispensers: real protocol on a real line, guns that are lifted, flow, stop, hang up and fail."""
