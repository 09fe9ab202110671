"""Tables, curves and galleries made from artifacts, with the published values beside ours."""
