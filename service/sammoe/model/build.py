"""Put the three parts together."""

from torch import nn

from sammoe.model.config import SamMed3DConfig
from sammoe.model.image_encoder import ImageEncoder
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.model.prompt_encoder import PromptEncoder


class SamMed3D(nn.Module):
    """The three parts under their official names; call them one by one."""

    def __init__(self, config: SamMed3DConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config)
        self.prompt_encoder = PromptEncoder(config)
        self.mask_decoder = MaskDecoder(config)


def build_sam_med3d(config: SamMed3DConfig) -> SamMed3D:
    """A network of freshly initialised weights.

    Its ``state_dict()`` has the official keys and shapes: 324 for ``vit_b()``, 326 with box
    embeddings; a detail path adds keys under ``image_encoder.detail`` and ``mask_decoder.detail``.
    """
    return SamMed3D(config)
