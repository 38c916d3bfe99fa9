"""Who commands? Operator socket, command line, status page."""
