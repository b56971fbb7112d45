"""What the files hold: schemas, manifest, data sets, prompt sets, ratings."""
