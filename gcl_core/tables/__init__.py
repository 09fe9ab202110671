"""Tables made of records and measurements."""
