"""Generative adversarial and recurrent networks in plain PyTorch: networks, objectives, training, metrics."""


def __getattr__(name: str) -> object:
    # The code stored with registered versions from before the packages begins with `from ganrnn import images`.
    if name == "images":
        raise ImportError(
            "ganrnn.images moved to ganrnn.data.images; if a registered model version asks for it, load that version "
            "in a process that has not imported ganrnn, or promote its checkpoint again"
        )
    raise AttributeError(name)
