"""The ports, fulfilled: a real database in ``sql``, real fakes in ``memory``, one suite."""
