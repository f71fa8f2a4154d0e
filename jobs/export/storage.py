"""Where an export is written: folders of this machine, and URLs that Spark writes; no half of one looks whole."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

from pyspark.sql import SparkSession

from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import is_local
from udfs.file_streams import HUB

CARD: Final = "README.md"
LICENSE: Final = "LICENSE.md"
TAG: Final = "backprompt"
"""Tag of the cards that exports write, by which a folder is known as an export."""
_HEAD_BYTES: Final = 1 << 20


class Target(ABC):
    """A folder that an export is written to.

    Spark writes into ``staged``, below a folder of its own beside the export's place. The files go from there to their
    names, the card last: what has no card is no export.
    """

    def __init__(self, location: str, is_replaced: bool) -> None:
        self.location, self._is_replaced = location, is_replaced

    @property
    @abstractmethod
    def staged(self) -> str:
        """Return the folder that Spark writes."""

    def check(self) -> None:
        """Make sure that an export may be written here.

        Raises:
            BackpromptError: if something is there that must not be replaced.
        """
        if not self._is_empty() and not self._is_unfinished():
            if not self._is_replaced:
                raise BackpromptError(
                    f"--to {self.location} is there already: choose another folder, or add --overwrite"
                )
            if not self._is_export():
                raise BackpromptError(
                    f"--to {self.location} holds something that is no export, which --overwrite does not replace: "
                    "choose another folder, or empty it yourself"
                )

    @abstractmethod
    def begin(self) -> None:
        """Clear what a killed export has left.

        Raises:
            BackpromptError: if nothing can be written here.
        """

    @abstractmethod
    def files(self) -> list[tuple[str, int]]:
        """Return what Spark has written: paths relative to ``staged``, and bytes; sorted."""

    @abstractmethod
    def place(self, staged: str, name: str) -> None:
        """Give a file that Spark has written its name in the export."""

    @abstractmethod
    def write(self, name: str, text: str) -> None:
        """Write a small file of the export."""

    @abstractmethod
    def finish(self) -> None:
        """Make the export what is at its place."""

    @abstractmethod
    def _is_empty(self) -> bool: ...

    @abstractmethod
    def _is_export(self) -> bool: ...

    def _is_unfinished(self) -> bool:
        """Say whether what is there is all of an export that was killed."""
        return False


def open_target(spark: SparkSession, location: str, is_replaced: bool) -> Target:
    """Return the target for a folder of this machine or a URL.

    Raises:
        BackpromptError: if it is of a kind that cannot be written.
    """
    if location.startswith(HUB):
        raise BackpromptError(f"--to {location}: write to a folder, and upload it with --push ORGANISATION/NAME")
    if is_local(location):
        return LocalTarget(location, is_replaced)
    if "://" not in location:
        raise BackpromptError(f"--to {location} is the name of a catalog's schema; an export is a folder or a URL")
    return UrlTarget(spark, location, is_replaced)


class LocalTarget(Target):
    """A folder of this machine, or one that it shares with the executors. It appears in one step."""

    def __init__(self, location: str, is_replaced: bool) -> None:
        super().__init__(location, is_replaced)
        self._target = Path(location).absolute()
        self._beside = self._target.parent / f".{self._target.name}.unfinished"
        self._ready = self._beside / "ready"

    @property
    def staged(self) -> str:
        """Return the folder that Spark writes."""
        return str(self._beside / "staged")

    def files(self) -> list[tuple[str, int]]:
        """Return what Spark has written."""
        root = Path(self.staged)
        found = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith((".", "_")))
        return sorted((str(path.relative_to(root)), path.stat().st_size) for path in found)

    def place(self, staged: str, name: str) -> None:
        """Move a file."""
        to = self._ready / name
        to.parent.mkdir(parents=True, exist_ok=True)
        (Path(self.staged) / staged).rename(to)

    def write(self, name: str, text: str) -> None:
        """Write a small file."""
        to = self._ready / name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")

    def finish(self) -> None:
        """Put the new folder where the old one was; between the two steps neither is there, and both are beside it."""
        if self._target.exists():
            self._target.rename(self._beside / "replaced")
        self._ready.rename(self._target)
        shutil.rmtree(self._beside)

    def _is_empty(self) -> bool:
        return not self._target.exists() or (self._target.is_dir() and not any(self._target.iterdir()))

    def _is_export(self) -> bool:
        card = self._target / CARD
        return card.is_file() and _is_card(card.read_bytes()[:_HEAD_BYTES].decode("utf-8", "replace"))

    def begin(self) -> None:
        """Make the folder beside the target, empty; the target itself stays until the end."""
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            if self._beside.exists():
                shutil.rmtree(self._beside)
            self._ready.mkdir(parents=True)
        except OSError as error:
            raise BackpromptError(f"--to {self.location} cannot be written: {error.strerror}") from error


class UrlTarget(Target):
    """A URL that Spark writes, by Hadoop's file systems.

    Object stores cannot rename a folder in one step, so the files go to their place one by one, and the card is last.
    The folder beside them stays from the beginning to the end: where it is, what has no card is an export that was
    killed.
    """

    def __init__(self, spark: SparkSession, location: str, is_replaced: bool) -> None:
        super().__init__(location.rstrip("/"), is_replaced)
        try:
            self._java: Any = spark._jvm
            settings = spark._jsparkSession.sessionState().newHadoopConf()
        except Exception as error:  # Spark Connect has no JVM of its own, and says so in many ways
            raise BackpromptError(
                f"--to {location}: this Spark session does not let files be renamed there. Write to a folder or volume"
            ) from error
        self._root = self._path(self.location)
        self._fs: Any = self._root.getFileSystem(settings)
        folder, _, name = self.location.rpartition("/")
        self._beside = f"{folder}/.{name}.unfinished"
        self._begun = f"{self._beside}/begun"

    @property
    def staged(self) -> str:
        """Return the folder that Spark writes."""
        return f"{self._beside}/staged"

    def files(self) -> list[tuple[str, int]]:
        """Return what Spark has written."""
        found, root = [], self._path(self.staged)
        if not self._fs.exists(root):
            return []
        prefix = self._fs.makeQualified(root).toString().rstrip("/") + "/"
        listed = self._fs.listFiles(root, True)
        while listed.hasNext():
            status = listed.next()
            path = status.getPath()
            if not path.getName().startswith((".", "_")):
                found.append((path.toString().removeprefix(prefix), status.getLen()))
        return sorted(found)

    def place(self, staged: str, name: str) -> None:
        """Move a file."""
        to = self._path(f"{self.location}/{name}")
        self._fs.mkdirs(to.getParent())
        if not self._fs.rename(self._path(f"{self.staged}/{staged}"), to):
            raise BackpromptError(f"{self.location}/{name} cannot be written: the storage did not rename {staged}")

    def write(self, name: str, text: str) -> None:
        """Write a small file."""
        self._create(f"{self.location}/{name}", text)

    def _create(self, path: str, text: str) -> None:
        stream = self._fs.create(self._path(path), True)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()

    def finish(self) -> None:
        """Take away what was staged; the card is there already."""
        self._fs.delete(self._path(self._beside), True)

    def _path(self, text: str) -> Any:
        return self._java.org.apache.hadoop.fs.Path(text)

    def _is_empty(self) -> bool:
        return not self._fs.exists(self._root) or not self._fs.listStatus(self._root)

    def _is_export(self) -> bool:
        card = self._path(f"{self.location}/{CARD}")
        if not self._fs.exists(card):
            return False
        stream = self._fs.open(card)
        try:
            head = bytes(stream.readNBytes(_HEAD_BYTES))
        finally:
            stream.close()
        return _is_card(head.decode("utf-8", "replace"))

    def _is_unfinished(self) -> bool:
        names = {each.getPath().getName() for each in self._fs.listStatus(self._root)}
        return names <= {"data", "recipe", LICENSE} and self._fs.exists(self._path(self._begun))

    def begin(self) -> None:
        """Delete the old export, its card first: from then on what is left of it is none."""
        self._fs.delete(self._path(self._beside), True)
        self._create(self._begun, "")
        for path in (f"{self.location}/{CARD}", self.location):
            self._fs.delete(self._path(path), True)


def _is_card(head: str) -> bool:
    return head.startswith("---\n") and f"\n- {TAG}\n" in head.partition("\n---\n")[0] + "\n"
