"""The scale: one verb a file, on Ray."""

import os

# Else a thread of Ray Data that outlives the session of a failed verb starts a second one, and the process ends with
# exit code 1 before the reason is printed. Ray reads this when it is imported.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
# Read by mlflow when it is imported. No pickle is loaded, and no call leaves for anywhere but the tracking server; one
# that is down is known within seconds, where mlflow's own defaults go on trying for four minutes.
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
