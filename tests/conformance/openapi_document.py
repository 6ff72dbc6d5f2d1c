"""Tests that the document is valid OpenAPI, and that its YAML and JSON forms are equal."""

import urllib.request

import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator

from api import URL, get

document = get("/openapi.json")
errors = 0
# Prints errors one by one, since the validator may raise an exception after some of them.
for error in OpenAPIV30SpecValidator(document).iter_errors():
    errors += 1
    print(f"   {'/'.join(map(str, error.absolute_path))}: {error.message}")

with urllib.request.urlopen(URL + "/openapi.yaml", timeout=10) as answer:
    same = yaml.safe_load(answer) == document
if not same:
    print("   /openapi.yaml differs from /openapi.json")

raise SystemExit(errors > 0 or not same)
