"""Batch scoring: files of raw rows, of any size, to their scores or to figures of how good these are."""
