"""Numbers of the driver that Ray's own Prometheus exporter shows; without Ray nobody reads them."""

from ray.util.metrics import Counter, Gauge


def counter(name: str, description: str, **tags: str) -> Counter:
    """A sum that only grows."""
    metric = Counter(name, description, tag_keys=tuple(tags))
    metric.set_default_tags(tags)
    return metric


def gauge(name: str, description: str, **tags: str) -> Gauge:
    """A number that goes up and down."""
    metric = Gauge(name, description, tag_keys=tuple(tags))
    metric.set_default_tags(tags)
    return metric
