"""The training steps of GANs and text models, with optimizer, augmentation, EMA and guard."""
