"""One file per system. Each defines its config, its class and, under `TASK`, the class that the pipelines look up."""
