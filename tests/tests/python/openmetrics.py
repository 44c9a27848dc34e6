"""Reads OpenMetrics text from stdin with prometheus_client's strict parser; prints its samples as one JSON object."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def main():
    samples = {}
    for family in text_string_to_metric_families(sys.stdin.read()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            if name in samples:
                sys.exit(f"{name} is there twice")
            samples[name] = sample.value
    json.dump(samples, sys.stdout)


if __name__ == "__main__":
    main()
