"""Tags of a model version. METRIC and INTERVAL are followed by a metric's name."""

MODEL, DATASET, PROTOCOL = "ganrnn.model_digest", "ganrnn.dataset_digest", "ganrnn.protocol_digest"
LIKELIHOOD = "ganrnn.likelihood"
METRIC, INTERVAL = "ganrnn.metric.", "ganrnn.interval."
RATINGS_PROTOCOL, SAMPLES_MANIFEST = "ganrnn.ratings_protocol", "ganrnn.samples_manifest_digest"
