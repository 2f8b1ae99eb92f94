"""What the package is built from."""

BUILT_FROM = ("agent", "bin", "pyproject.toml", "README.md", "LICENSE", "LICENSES")
