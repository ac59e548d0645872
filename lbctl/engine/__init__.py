"""The controller at work: caches → views → plans → writes, for one dirty key at a time."""
