"""One step of a GAN and of a text model, and what a training needs around it: optimizer, EMA, guard."""
