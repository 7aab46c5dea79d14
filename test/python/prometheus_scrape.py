"""Scrapes an address in both formats with the parsers of Prometheus' own client, and prints what they read as JSON."""

import json
import sys
import urllib.request

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

FORMATS = {
    "prometheus": ("text/plain;version=0.0.4", parser),
    "openmetrics": ("application/openmetrics-text;version=1.0.0", openmetrics),
}


def scrape(url, name):
    accept, reader = FORMATS[name]
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request) as response:
        content_type = response.headers["Content-Type"]
        text = response.read().decode("utf-8")
    families = list(reader.text_string_to_metric_families(text))
    return {
        "contentType": content_type,
        "types": {family.name: family.type for family in families},
        "samples": [
            [sample.name, sample.labels, sample.value] for family in families for sample in family.samples
        ],
    }


print(json.dumps({name: scrape(sys.argv[1], name) for name in FORMATS}))
