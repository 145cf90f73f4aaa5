"""Days in a bucket: listed by their prefixes, a page of a thousand keys at a time; no object is opened or asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from staging_loaders import s3, s3_faults
from staging_loaders.files import SourceFile
from staging_loaders.s3 import Access

# What Hadoop writes beside the objects of a folder.
_HADOOP_MARKER = "_$folder$"
_NANOSECONDS = 1_000_000_000


class Bucket:
    """The days below an address `s3a://bucket/prefix` (see store.Store); keys are taken as they are."""

    def __init__(self, address: str, access: Access | None = None) -> None:
        self._access = access or Access()
        self._bucket, prefix = s3.split_address(address)
        self._prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"
        self._root = f"{address.partition('://')[0]}://{self._bucket}/"

    def where(self, *names: str) -> str:
        return (self._root + self._prefix + "/".join(names)).rstrip("/")

    def exists(self) -> bool:
        """Tell whether there is anything; DayNotFound where there is no such bucket."""
        return self._any(self._prefix)

    def has(self, name: str) -> bool:
        return self._any(self._below(name))

    def folders(self, *names: str, beginning: str = "") -> list[str]:
        prefix = self._below(*names)
        found = []
        for page in self._pages(prefix, beginning, Delimiter="/"):
            for folder in page.get("CommonPrefixes", ()):
                found.append(folder["Prefix"].removeprefix(prefix).removesuffix("/"))
        return sorted(filter(None, found))

    def files(self, *names: str) -> tuple[SourceFile, ...]:
        prefix = self._below(*names)
        found = []
        for page in self._pages(prefix):
            for item in page.get("Contents", ()):
                name = item["Key"].removeprefix(prefix)
                if _counts(name, item["Size"]):
                    found.append(self._file(item, name))
        return tuple(sorted(found, key=lambda file: file.name))

    def below(self, beginning: str, names: Collection[str]) -> Iterator[tuple[str, str, SourceFile]]:
        for page in self._pages(self._prefix, beginning):
            for item in page.get("Contents", ()):
                folder, _, rest = item["Key"].removeprefix(self._prefix).partition("/")
                first, inside, name = rest.partition("/")
                if first in names and (not inside or _counts(name, item["Size"])):
                    yield folder, first, self._file(item, name)

    def _file(self, item: Any, name: str) -> SourceFile:
        return SourceFile(
            path=self._root + item["Key"],
            name=name.replace("\0", "\\x00"),  # which no text of PostgreSQL holds
            size=item["Size"],
            modified=int(item["LastModified"].timestamp()) * _NANOSECONDS,
            etag=item["ETag"],
            access=self._access,
        )

    def _below(self, *names: str) -> str:
        return self._prefix + "".join(f"{name}/" for name in names)

    def _any(self, prefix: str) -> bool:
        with s3_faults.listing(self._shown(prefix), self._access):
            page = s3.client(self._access).list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
        return bool(page.get("Contents"))

    def _pages(self, prefix: str, beginning: str = "", **options: str) -> Iterator[Any]:
        with s3_faults.listing(self._shown(prefix), self._access):
            pages = s3.client(self._access).get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self._bucket, Prefix=prefix + beginning, **options)

    def _shown(self, prefix: str) -> str:
        return (self._root + prefix).rstrip("/")


def _counts(name: str, size: int) -> bool:
    """Tell whether a key below a folder is a file's: not a marker of a folder, nor ignored for its name."""
    if not name or (not size and name.endswith(("/", _HADOOP_MARKER))):
        return False
    return not any(part.startswith((".", "_")) for part in name.split("/"))
