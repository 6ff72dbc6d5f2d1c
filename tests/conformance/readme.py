"""Tests that the Python example of the README works."""

from api import readme

exec(compile(readme("python"), "README.md", "exec"))
