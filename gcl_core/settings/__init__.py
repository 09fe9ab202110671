"""The sections of a study's settings; every default is the published constant, its source beside it."""
