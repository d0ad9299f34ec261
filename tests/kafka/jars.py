"""Apache Kafka's jars, fetched once into ``.cache/kafka/VERSION/libs`` by Maven."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

VERSION: Final = "4.4.0"
PLUGIN: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
CACHE: Final = Path(__file__).parents[2] / ".cache" / "kafka"

# The second one only prints Kafka's warnings: the broker itself brings no back end for SLF4J 1.7.
_POM: Final = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>wattstream</groupId>
  <artifactId>broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


class MissingToolError(Exception):
    """This machine has no ``java``, or no ``mvn`` to fetch the jars with."""


def java() -> str:
    """The path of ``java``; ``MissingToolError`` if there is none."""
    found = shutil.which("java")
    if found is None:
        raise MissingToolError("no java found: Apache Kafka needs one of version 17 or later")
    return found


def libs(version: str = VERSION) -> Path:
    """The folder with the broker's jars, fetched now if they are not there yet.

    ``KAFKA_VERSION`` in the environment chooses another version than this release's.
    """
    version = os.environ.get("KAFKA_VERSION", version)
    folder = CACHE / version / "libs"
    if not folder.is_dir():
        _fetch(version, folder)
    return folder


def _fetch(version: str, folder: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise MissingToolError("no mvn found: it fetches Apache Kafka from Maven Central")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made under another name first: an interrupted fetch leaves nothing that looks complete.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        pom = Path(scratch) / "pom.xml"
        pom.write_text(_POM.format(version=version))
        fetched = Path(scratch) / "libs"
        command = [mvn, "--batch-mode", "--quiet", "--file", str(pom), PLUGIN]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"mvn cannot fetch Apache Kafka {version}:\n{done.stdout.strip()}")
        if not folder.is_dir():
            fetched.rename(folder)
