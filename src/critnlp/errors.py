"""Everything critnlp raises on purpose, as one tree.

    CritnlpError            something the user can act on; the message names the place, the problem and the next step
    ├── SourceError         an input cannot be read as a trial
    ├── AnnotationError     gold or corpus data contradicts its text
    ├── ModelError          a pipeline cannot be opened or lacks a part
    └── OutputError         what was found cannot be written

Every other exception that leaves critnlp is a bug.
"""


class CritnlpError(Exception):
    """The base of every error critnlp raises on purpose; its message is one line for a person."""


class SourceError(CritnlpError):
    """An input cannot be read as a trial. The message begins with the input's name (path, path:line, or `-`)."""


class AnnotationError(CritnlpError):
    """Gold or corpus data contradicts its text."""


class ModelError(CritnlpError):
    """A pipeline cannot be opened or lacks a part that was asked for."""


class OutputError(CritnlpError):
    """What was found cannot be written; the message begins with the output's name."""
