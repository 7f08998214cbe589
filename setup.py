"""Builds the compiled kernel where there is a C compiler; everything else about the package is in pyproject.toml."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCE = Path("src/dagfm/kernel/source")
FLAGS = ["-O3", "-fno-ivopts", "-fno-math-errno", "-g0", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-pthread"]
AVX512 = ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma"]

# One source, compiled for each instruction set: its symbol, lanes and flags. The processor's is chosen at run time.
VERSIONS: dict[str, list[str]] = {"dagfm_base": ["-DLANES=4"]}
if platform.machine().lower() in ("x86_64", "amd64"):
    VERSIONS["dagfm_avx2"] = ["-DLANES=8", "-mavx2", "-mfma"]
    VERSIONS["dagfm_avx512"] = ["-DLANES=16", *AVX512]
    VERSIONS["dagfm_avx512_narrow"] = ["-DLANES=8", "-DINNER_ALONE", *AVX512]
PER_VERSION = ["version.c", "scoring_version.c"]
ONCE = ["kernel.c", "table.c", "scoring.c", "ranking.c", "index.c", "encoding.c", "dicts.c", "texts.c"]


def digest() -> int:
    """What the sources are, as a number: ``kernel/library.py`` refuses a library that was built from others."""
    sources = sorted(SOURCE.glob("*.[ch]"))
    return int.from_bytes(hashlib.sha256(b"".join(path.read_bytes() for path in sources)).digest()[:8], "big")


class BuildKernel(build_ext):
    """Compiles the versions side by side; ``DAGFM_KERNEL_FLAGS`` adds flags, such as those of sanitizers."""

    def build_extension(self, ext: Extension) -> None:
        """Compile and link the library; Python's headers, which one file takes part in, may be missing."""
        extra = os.environ.get("DAGFM_KERNEL_FLAGS", "").split()
        temporary = Path(self.build_temp)

        def compiled(unit: tuple[str, str]) -> list[str]:
            file, version = unit
            flags = [f"-DVERSION={version}", *VERSIONS[version]] if version else [f"-DSOURCES={digest():#x}ull"]
            return self.compiler.compile(
                [str(SOURCE / file)], output_dir=str(temporary / version), extra_postargs=[*FLAGS, *flags, *extra]
            )

        units = [(file, version) for file in PER_VERSION for version in VERSIONS] + [(file, "") for file in ONCE]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [path for paths in pool.map(compiled, units) for path in paths]
        library = self.get_ext_fullpath(ext.name)
        self.compiler.link_shared_object(objects, library, extra_postargs=["-pthread", "-lm", *extra])


headers = [str(path) for path in SOURCE.glob("*.[ch]")]
kernel = Extension("dagfm.kernel.native", sources=[str(SOURCE / "kernel.c")], depends=headers, optional=True)
# The Microsoft compiler lacks the vector types that the source is written in.
setup(ext_modules=[] if sys.platform == "win32" else [kernel], cmdclass={"build_ext": BuildKernel})
