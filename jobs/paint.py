"""Paint one prompt, by the model of the demo or any other.

ganrnn paint "a large blue triangle at the left on a black background"
"""

from argparse import Namespace

from pipelines.config.tracking import TrackingConfig
from pipelines.sampling.paint import paint


def act(options: Namespace) -> None:
    """Print the path of the PNG."""
    tracking_uri = options.tracking_uri or TrackingConfig().tracking_uri
    print(paint(options.prompt, options.model, tracking_uri, options.seed, options.out, options.source))
