"""What the network is taught: the picture's answer, the map of cells, the box."""

import torch
from torch.nn import functional

MAP_WEIGHT = 4.0
BOX_WEIGHT = 1.0
# How much more than the others the few cells with text weigh while it is learned what text is.
TEXT_WEIGHT = 4.0


def whole(net, edges, targets):
    """For whole pictures: cross-entropy of the answer and of the cells, and the boxes' distance."""
    answer, cells, maps = _cross_entropies(net, edges, targets, 1.0)
    box = functional.smooth_l1_loss(
        net.box(maps[:, 1:2]), targets["box"], beta=0.05, reduction="none"
    ).mean(1)
    # A person's label says whether there is text, not where.
    placed = MAP_WEIGHT * cells + BOX_WEIGHT * targets["boxed"] * box
    return (answer + targets["known"] * placed).mean()


def parts(net, edges, targets):
    """For parts of pictures, whose box means nothing."""
    answer, cells, _ = _cross_entropies(net, edges, targets, TEXT_WEIGHT)
    return (targets["known"] * (answer + MAP_WEIGHT / TEXT_WEIGHT**0.5 * cells)).mean()


def _cross_entropies(net, edges, targets, text_weight):
    """Per picture: of the answer, and of the cells of the maps; and the maps."""
    with torch.autocast(edges.device.type, torch.bfloat16):
        logit, maps = net.parts(edges.to(memory_format=torch.channels_last))
    logit, maps = logit.float(), maps.float()
    answer = functional.binary_cross_entropy_with_logits(
        logit[:, 0], targets["written"], reduction="none"
    )
    # Both the first and the second map are of pasted text, the third is of text in the scene.
    cells = targets["cells"][:, [0, 0, 1]]
    each = functional.binary_cross_entropy_with_logits(
        maps, cells, reduction="none", pos_weight=maps.new_tensor(text_weight)
    ).mean((2, 3))
    return answer, each[:, 0] + 0.5 * each[:, 1] + targets["scene_known"] * each[:, 2], maps
