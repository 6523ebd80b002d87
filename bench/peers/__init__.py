"""Who is measured: the service itself, and the same unit written bare on other engines."""
