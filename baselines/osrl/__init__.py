"""What wraps osrl's algorithms and makes them faster."""
