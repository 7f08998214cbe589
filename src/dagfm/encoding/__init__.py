"""From values to row ids, for a column and for one row; shared by preparation and serving, free of torch."""
