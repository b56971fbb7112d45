"""Paint prompts, by the model of the demo or any other.

ganrnn paint "a large blue triangle at the left on a black background"
"""

from argparse import Namespace

from pipelines.config.tracking import TrackingConfig
from pipelines.sampling.paint import Painting, paint


def act(options: Namespace) -> None:
    """Print the path of the file."""
    painting = Painting(
        prompts=options.prompts,
        seeds=options.seeds or [0],
        num_columns=options.columns,
        source=options.source,
        to=options.to,
        to_seed=options.to_seed,
        num_frames=options.frames,
        out=options.out,
    )
    print(paint(painting, options.model, options.tracking_uri or TrackingConfig().tracking_uri))
