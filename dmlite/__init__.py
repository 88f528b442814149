"""dmlite: DML, the declarative language for machine learning, in pure Python."""

from dmlite.api import Matrix, MLContext, MLResults, Script, dml, dmlFromFile, jvm_stdout
from dmlite.config import Config, settings
from dmlite.errors import DMLError

__version__ = "0.1.0"
__all__ = ["Config", "DMLError", "MLContext", "MLResults", "Matrix", "Script", "dml", "dmlFromFile", "jvm_stdout", "settings"]
