"""From files to prepared rows: reading, joining, labelling, splitting, encoding, storing."""
