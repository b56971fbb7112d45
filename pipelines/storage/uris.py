"""Names of files and folders: paths, file:// and object store URIs.

A name is a name. No character of it is a pattern, an escape or the joint of a chain of URLs, which fsspec would see in
`[`, `*`, `?` and `::`. What looks like a URI and is none is refused where a recipe is read.
"""

import os
import re
from urllib.parse import quote

from ganrnn.errors import BadInput

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# One slash too few, or a drive of Windows. Other colons belong to names: `exp:1` is a folder.
_SLIP = re.compile(r"(?:s3a?|file|https?|sqlite|models):|[a-z][a-z0-9+.-]*:[/\\]", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]|\{)")
S3 = ("s3", "s3a")
_ALLOWED = "allowed are paths, file:///PATH and s3://BUCKET/KEY"


def absolute(uri: str, key: str = "the URI") -> str:
    """A path made absolute, since Ray workers run in other folders, also that of a file:// URI; an s3:// URI as it is.

    `key` says in the BadInput where the URI stands.
    """
    match = _URI.fullmatch(uri)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", uri)
    if problem := _spelling(uri) or _problem(scheme, rest):
        raise BadInput(f"{key} is {uri!r}, {problem}; {_ALLOWED}")
    return f"{scheme}://{rest}" if scheme in S3 else _absolute_path(rest.removeprefix("localhost") if scheme else rest)


def absolute_database(uri: str, key: str = "the URI") -> str:
    """The URI of a database or server; the path of an SQLite database made absolute."""
    if uri.startswith("sqlite:///"):
        path = uri.removeprefix("sqlite:///")
        if not path or path.endswith("/"):
            raise BadInput(f"{key} is {uri!r}, which names no file; allowed are sqlite:///FILE and sqlite:////PATH")
        return f"sqlite:///{absolute(path, key)}"
    if uri.startswith("sqlite:"):
        raise BadInput(f"{key} is {uri!r}; allowed are sqlite:///FILE and sqlite:////PATH")
    match = _URI.fullmatch(uri)
    return uri if match and match[1].lower() not in (*S3, "file") else absolute(uri, key)


def join(uri: str, *parts: str) -> str:
    """A URI below another."""
    return "/".join([uri.rstrip("/"), *(part for part in parts if part)])


def split(uri: str) -> tuple[str, str]:
    """The scheme of a URI, empty for paths, and what stands after it to the letter: a path, or bucket and key."""
    match = _URI.fullmatch(uri)
    if not match or match[1].lower() == "file":
        return "", _absolute_path(match[2].removeprefix("localhost") if match else uri)
    return match[1].lower(), match[2].strip("/")


def percent_encoded(uri: str) -> str:
    """A URI as pyarrow reads it, which decodes the key of S3, ends it at ? and #, and takes paths to the letter."""
    scheme, path = split(uri)
    return f"s3://{quote(path, safe='/=:')}" if scheme in S3 else path


def _spelling(uri: str) -> str:
    """What is wrong with the characters of a URI; empty where nothing is."""
    if "\0" in uri or any("\ud800" <= char <= "\udfff" for char in uri):
        return "which holds a character that is not UTF-8 or that no file name has"
    return ""


def _problem(scheme: str, rest: str) -> str:
    """What keeps a URI from naming a file or folder; empty where nothing does."""
    if scheme in S3:
        return _s3_problem(rest)
    if scheme == "file" and not rest.startswith(("/", "localhost/")):
        return "which names another host"
    if scheme not in ("", "file"):
        return f"whose scheme {scheme}:// is not known"
    if not scheme and _SLIP.match(rest):
        return f"which is neither a URI nor a path ({rest.split(':')[0]}: without //; ./ before it makes it a path)"
    if not scheme and "://" in rest and not rest.startswith(("/", "./")):
        return "which is a URI only after its beginning"
    if rest.startswith("~") and os.path.expanduser(rest) == rest:
        return "the folder of a user who is not known"
    return _path_problem(rest)


def _path_problem(path: str) -> str:
    parts = path.split("/")
    for index, part in enumerate(parts):
        # A folder may have such a name; one that is to be created hardly does.
        if _VARIABLE.match(part) and not os.path.lexists("/".join(parts[: index + 1])):
            return f"in which {part} is no folder, and variables are not replaced"
    return ""


def _s3_problem(rest: str) -> str:
    bucket, _, key = rest.partition("/")
    parts = key.split("/")
    if not _BUCKET.fullmatch(bucket):
        return f"in which {bucket!r} is no bucket"
    if key.startswith("/") or "." in parts or ".." in parts:
        return "whose key has an empty first part or a part . or .., which S3 does not resolve"
    if variables := [part for part in parts if _VARIABLE.match(part)]:
        return f"in which {variables[0]} stands, and variables are not replaced"
    return ""


def _absolute_path(path: str) -> str:
    return os.path.normpath(os.path.join(os.getcwd(), os.path.expanduser(path)))
