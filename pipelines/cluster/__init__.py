"""Where work runs: on Ray, or in the driver's own process. The only package that knows Ray."""
