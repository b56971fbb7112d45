"""A recipe: every key of every verb, its default and its limits.

recipe = loader.load_recipe("jobs/recipes/demo.yaml", ["train.num_workers=1"])
"""
