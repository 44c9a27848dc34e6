"""Holds every example of an OpenAPI document against the schema that it is an example of: path of the document."""

import json
import sys

import jsonschema

document = json.load(open(sys.argv[1], encoding="utf-8"))
looked_at, wrong = 0, []


def look_at(where, schema, example):
    global looked_at
    looked_at += 1
    # References lead into the document: it stands around the schema.
    whole = {**schema, "components": document["components"]}
    validator = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())
    wrong.extend(f"{where}: {error.json_path}: {error.message}" for error in validator.iter_errors(example))


def of_content(where, content):
    for media_type, described in content.items():
        if "example" in described:
            look_at(f"{where} {media_type}", described["schema"], described["example"])


def resolved(described):
    while "$ref" in described:
        target = document
        for name in described["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        described = target
    return described


for path, operations in document["paths"].items():
    for method, operation in operations.items():
        where = f"{method.upper()} {path}"
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                look_at(f"{where} {parameter['name']}", parameter["schema"], parameter["example"])
        of_content(f"{where} body", operation.get("requestBody", {}).get("content", {}))
        for status, answer in operation["responses"].items():
            of_content(f"{where} {status}", resolved(answer).get("content", {}))

print(f"{looked_at} examples")
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
