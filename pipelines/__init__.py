"""The scale: one verb a file, on Ray."""

import os

# Else a thread of Ray Data that outlives the session of a failed verb starts a second one, and the process ends with
# exit code 1 before the reason is printed. Ray reads this when it is imported.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
