"""The types of the page's sources, JSDoc checked by TypeScript: `python -m tests.ui.types`.

The compiler and the libraries' own declarations come from npm, once, into the peers' cache; versions of the libraries
are those that are vendored.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.peers.install import NODE_VERSION, PeerUnavailable, npm_package
from tests.ui.vendor import MANIFEST

TYPESCRIPT = "7.0.2"
PAGE = MANIFEST.parent.parent
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_TYPED = ("preact", "@preact/signals-core", "@preact/signals", "htm", "marked", "dompurify", "uplot")


def configuration(packages: dict[str, Path]) -> dict[str, object]:
    """Return a tsconfig for the page's own modules."""
    paths = {name: [str(folder)] for name, folder in packages.items()}
    paths["preact/hooks"] = [str(packages["preact"] / "hooks")]
    return {
        "compilerOptions": {
            "allowJs": True,
            "checkJs": True,
            "noEmit": True,
            "strict": True,
            "noUncheckedIndexedAccess": False,
            "noImplicitOverride": True,
            "noFallthroughCasesInSwitch": True,
            "noUnusedLocals": True,
            "target": "es2023",
            "module": "esnext",
            "moduleResolution": "bundler",
            "lib": ["es2023", "dom", "dom.iterable"],
            "types": [],
            "skipLibCheck": True,
            "paths": paths,
        },
        "include": [str(PAGE / "**/*.js"), str(PAGE / "**/*.d.ts")],
        "exclude": [str(PAGE / "vendor" / "**/*.js")],
    }


def main() -> int:
    """Check; the exit status is the compiler's."""
    versions = {package["name"]: package["version"] for package in json.loads(MANIFEST.read_text())["packages"]}
    try:
        node = npm_package(f"node-linux-{_ARCHITECTURES[platform.machine()]}", NODE_VERSION) / "bin" / "node"
        compiler = npm_package("typescript", TYPESCRIPT, first_in_path=node.parent) / "bin" / "tsc"
        packages = {name: npm_package(name, versions[name], first_in_path=node.parent) for name in _TYPED}
    except PeerUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "tsconfig.json"
        project.write_text(json.dumps(configuration(packages)))
        command = [str(node), str(compiler), "--project", str(project), "--pretty", "false"]
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
