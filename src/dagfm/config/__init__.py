"""The run configuration: one set of models behind the file, the Python API, ``--set`` and the error texts."""

from dagfm.config.load import load_config as load_config
from dagfm.config.models import Config as Config
from dagfm.config.networks import NetworkConfig as NetworkConfig
