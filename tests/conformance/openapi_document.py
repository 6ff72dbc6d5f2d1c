"""The document is valid OpenAPI, and the one in YAML says the same as the one in JSON."""

import urllib.request

import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator

from api import URL, get

document = get("/openapi.json")
errors = list(OpenAPIV30SpecValidator(document).iter_errors())
for error in errors:
    print(f"   {'/'.join(map(str, error.absolute_path))}: {error.message}")

with urllib.request.urlopen(URL + "/openapi.yaml", timeout=10) as answer:
    same = yaml.safe_load(answer) == document
if not same:
    print("   /openapi.yaml differs from /openapi.json")

raise SystemExit(bool(errors) or not same)
