"""Whether the files that a manifest lists have the content that it states: one listing, then every byte is hashed.

problems = damaged_shards(recipe.generate.samples_uri, manifest.shards)
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats.manifest import ManifestShard

# Hashing releases Python's lock, and a store answers several requests at once.
_NUM_THREADS = 4


def damaged_shards(folder_uri: str, shards: Iterable[ManifestShard]) -> dict[str, str]:
    """Name -> what is wrong, in order, for shards that are missing or have another size or sha256 than stated.

    Raises BadInput where the store does not let a file be read: that is no damage.
    """
    sizes = {storage.relative(uri, folder_uri): stat.num_bytes for uri, stat in storage.stat_files(folder_uri).items()}

    def problem(shard: ManifestShard) -> str:
        if shard.uri not in sizes:
            return "is missing"
        if shard.num_bytes not in (None, sizes[shard.uri]):
            return f"has {sizes[shard.uri]} bytes, stated are {shard.num_bytes}"
        digest = storage.file_digest(storage.join(folder_uri, shard.uri))
        return "" if digest == shard.sha256 else other_digest(digest, shard.sha256)

    stated = tuple(shards)
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        problems = zip(stated, threads.map(problem, stated), strict=True)
        return {shard.uri: text for shard, text in problems if text}


def other_digest(actual: str, stated: str) -> str:
    """The problem of a file with another sha256 than stated."""
    return f"has sha256 {actual[:12]}, stated is {stated[:12]}"


def require_intact(folder_uri: str, shards: Iterable[ManifestShard], advice: str) -> None:
    """Raise BadInput that names every damaged shard; `advice` says how to repair the folder."""
    if problems := damaged_shards(folder_uri, shards):
        raise BadInput(f"{folder_uri} is damaged: {listed(problems)}; {advice}")


def listed(problems: Mapping[str, str]) -> str:
    """All problems in one sentence."""
    return ", ".join(f"{name} {problem}" for name, problem in problems.items())
