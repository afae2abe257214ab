"""Names for values that carry no types: JSON, and objects of libraries that are not imported for a name.

To a type checker each of these is anything. Such a name says what comes, and that nobody checks it before it is used;
the documentation shows it.
"""

from typing import Annotated, Any, TypeAlias

# What JSON holds: null, a boolean, a number, text, a list or an object.
JsonValue: TypeAlias = Annotated[Any, "JsonValue"]
JsonObject: TypeAlias = dict[str, JsonValue]

# Of transformers, or of a user's own class with the same methods.
Tokenizer: TypeAlias = Annotated[Any, "Tokenizer"]
# What a tokenizer makes of a text.
Coded: TypeAlias = Annotated[Any, "Coded"]
Processor: TypeAlias = Annotated[Any, "Processor"]
# A model's configuration as transformers reads it; each architecture has attributes of its own.
HubConfig: TypeAlias = Annotated[Any, "HubConfig"]
# The model itself in PyTorch, whose modules, outputs and methods differ likewise.
HubModel: TypeAlias = Annotated[Any, "HubModel"]
HubOutput: TypeAlias = Annotated[Any, "HubOutput"]

# Of PyArrow, which has no types: a table or a batch of rows; a schema, a type, a column, a scalar or a file.
ArrowTable: TypeAlias = Annotated[Any, "ArrowTable"]
ArrowData: TypeAlias = Annotated[Any, "ArrowData"]
