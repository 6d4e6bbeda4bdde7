"""Where programs come from: a build of the project, and what npm installs."""

import os
import pathlib
import platform
import re
import shutil
import subprocess

from front import TOP, program

BENCH = TOP / "bench"


def make(source, build):
    if not (source / "configure").exists():
        subprocess.run(["./autogen.sh"], cwd=source, check=True, stdout=2)
    build.mkdir(exist_ok=True)
    if not (build / "Makefile").exists():
        subprocess.run([source / "configure", "-q"], cwd=build, check=True,
                       stdout=2)
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}"], cwd=build,
                   check=True, stdout=2)
    return build


def find_build():
    """Where the programs are, after building them if need be."""
    build = os.environ.get("POLYSOCKET_BUILD")
    return pathlib.Path(build) if build else make(TOP, TOP / "build")


def install_node(name, directory):
    """One of bench's programs for node with what it needs from the npm
    registry, in a directory of its own."""
    directory = pathlib.Path(directory) / name
    shutil.copytree(BENCH / name, directory)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent",
                    "--no-package-lock"], cwd=directory, check=True, stdout=2)
    return directory


def version(pattern, *command):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return re.search(pattern, done.stdout).group(0)


def machine():
    return f"{os.cpu_count()} processors, Linux {platform.release()}"


def version_of(name):
    return {
        "lighttpd": lambda: version(r"lighttpd/[0-9.]+", program("lighttpd"),
                                    "-v"),
        "apache": lambda: version(r"Apache/[0-9.]+", program("apache2"), "-v"),
        "nginx": lambda: version(r"nginx/[0-9.]+", program("nginx"), "-v"),
        "nchan": lambda: "nchan " + version(
            r"[0-9.]+(?=\+|-)", "dpkg-query", "-W", "-f", "${Version}",
            "libnginx-mod-nchan"),
        "node": lambda: "node " + version(r"v[0-9.]+", "node", "--version"),
        "sqlite3": lambda: "SQLite " + version(r"[0-9.]+", "sqlite3",
                                               "--version"),
    }[name]()
