"""Kubernetes manifests as JSON, with what their schemas say against them.

    schemas.py VERSION,VERSION FILE...

Types of Kubernetes itself are held against the published schemas of these versions, strictly. Types of
the Prometheus operator are read into the models made from its definitions: a key that they do not have
is lost there, and told here.
"""

import json
import sys

import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator


def lost(given, kept, path):
    """Paths of what is in `given` and not in `kept`."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key not in kept:
                yield f"{path}.{key}"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list) and isinstance(kept, list):
        if len(given) != len(kept):
            yield path
        for index, (one, other) in enumerate(zip(given, kept)):
            yield from lost(one, other, f"{path}[{index}]")


def faults(document, versions):
    name = f"{document['kind']} {document['metadata']['name']}"
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        try:
            model = getattr(operator, document["kind"]).model_validate(document)
        except Exception as error:  # whatever it says is what we want to hear
            yield f"{name}: {error}"
            return
        kept = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
        for path in lost(document, kept, ""):
            yield f"{name}: there is no {path.lstrip('.')}"
        return
    for version in versions:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except Exception as error:
            place = getattr(error, "json_path", "")
            said = getattr(error, "message", error)
            yield f"{name} in {version}: {place} {type(error).__name__} {said}"


def read(file):
    with open(file, encoding="utf-8") as text:
        return [document for document in yaml.safe_load_all(text) if document]


versions = sys.argv[1].split(",")
answer = {}
for file in sys.argv[2:]:
    documents = read(file)
    # What is no manifest (a configuration file) is only wanted as JSON.
    manifests = [document for document in documents if "kind" in document]
    answer[file] = {
        "documents": documents,
        "faults": [fault for document in manifests for fault in faults(document, versions)],
    }
json.dump(answer, sys.stdout)
