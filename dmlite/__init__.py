"""dmlite: DML, the declarative language for machine learning, in pure Python."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dmlite.api import Matrix, MLContext, MLResults, Script, dml, dmlFromFile, jvm_stdout
    from dmlite.config import Config, settings
    from dmlite.errors import DMLError

__version__ = "0.1.0"
__all__ = ["Config", "DMLError", "MLContext", "MLResults", "Matrix", "Script", "dml", "dmlFromFile", "jvm_stdout", "settings"]

_ELSEWHERE: Final = {"Config": "dmlite.config", "settings": "dmlite.config", "DMLError": "dmlite.errors"}


def __getattr__(name: str) -> Any:
    """What programs embed is loaded when it is first asked for: commands start without it."""
    if name not in __all__:
        raise AttributeError(f"module 'dmlite' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_ELSEWHERE.get(name, "dmlite.api")), name)
    return value
