"""The example of the README in Python does what it says."""

from api import readme

exec(compile(readme("python"), "README.md", "exec"))
