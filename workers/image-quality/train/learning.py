"""How the network learns, and how its answers become probabilities."""

import tempfile
from functools import partial

import torch
from scipy.special import expit
from torch import nn

import evaluation
from degrade import AXES
from flota_training import export, loop, metrics
from flota_training.samples import Samples
from net import LABELS, Features, QualityNet
from pairs import VERSION, is_pristine, pair

QUALITY = LABELS.index("quality")
# By how many logits the stronger of two degradations must at least be told from the weaker.
MARGIN = 1.0
ORDER_WEIGHT = 0.4
# Of the last part: rate, decay, photos at once, and noise in standard deviations of each feature.
FINISH_RATE, FINISH_DECAY, FINISH_PHOTOS, FINISH_NOISE = 1e-3, 0.1, 16, 0.15
# How often a labelled photo is taken, relative to one of the pool.
LABELLED_WEIGHT = 3.0


def loss(net, images, targets):
    """Cross-entropy where the truth is known, and the order of the two versions of each crop."""
    planes = images.flatten(0, 1).to(memory_format=torch.channels_last).float() / 255
    answers = net(planes, targets["measured"].flatten(0, 1))
    value = entropy(answers, targets["truth"].flatten(0, 1))
    worse, better = answers.unflatten(0, (-1, 2)).unbind(1)
    axis = targets["axis"]
    ordered = axis >= 0
    if not ordered.any():
        return value
    falls = (better - worse)[ordered][:, QUALITY]
    rises = (worse - better)[ordered].gather(1, axis[ordered][:, None])[:, 0]
    order = (
        nn.functional.softplus(MARGIN - falls).mean()
        + nn.functional.softplus(MARGIN - rises).mean()
    )
    return value + ORDER_WEIGHT * order


def learn(photos, labelled, seed, plan, work, title, fresh):
    """A network that has seen `photos`."""
    torch.manual_seed(seed)
    everything = [*photos, *labelled]
    weights = [1.0 if is_pristine(p) else 0.5 for p in photos] + [LABELLED_WEIGHT] * len(labelled)
    make = partial(pair, size=plan.crop, side=plan.side)
    kept = work / f"pairs-{VERSION}-{plan.crop}-of-{plan.side}"
    samples = Samples(everything, make, plan.variants, plan.pairs, seed, kept, weights)
    checkpoint = work / f"{title}-{plan.side}-{seed}.pt"
    return loop.train(QualityNet(), loss, samples, plan.settings, checkpoint, fresh, title)


def see(net, photos, work, spec, variant=0):
    """[photos, pictures, features] of the whole degraded pictures of `evaluation`."""
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        export.export(Features(net), file.name, spec, "features")
        session = export.session(file.name)
    answer = lambda shown: export.run(session, spec.tensor(shown))
    seen = evaluation.score(photos, work, answer, variant)
    return torch.from_numpy(seen)


def finish(net, seen, truth, seed, steps):
    """Teaches the last part on whole pictures, after crops: cheap, as the rest stays as it is."""
    torch.manual_seed(seed)
    net.eval()
    parameters = [*net.head.parameters(), *net.quality.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=FINISH_RATE, weight_decay=FINISH_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with torch.no_grad():
        # The statistics of whole pictures, in place of those of crops.
        flat = seen.flatten(0, 1)
        net.norm.running_mean.copy_(flat.mean(0))
        net.norm.running_var.copy_(flat.var(0))
    spread = flat.std(0)
    for _ in range(steps):
        chosen = torch.randint(len(seen), (FINISH_PHOTOS,))
        some = seen[chosen] + FINISH_NOISE * spread * torch.randn_like(seen[chosen])
        answers = net.answer(some.flatten(0, 1)).unflatten(0, some.shape[:2])
        optimizer.zero_grad()
        (entropy(answers, truth[chosen]) + ORDER_WEIGHT * disorder(answers)).backward()
        optimizer.step()
        schedule.step()
    return net


def entropy(answers, truth):
    known = ~torch.isnan(truth)
    return nn.functional.binary_cross_entropy_with_logits(answers[known], truth[known])


def disorder(answers):
    """How far the quality fails to fall and the axis to rise from step to step of each series."""
    total = 0.0
    for index, axis in enumerate(AXES):
        series = answers[:, evaluation.places(axis)]
        falls = -torch.diff(series[..., QUALITY], dim=1)
        rises = torch.diff(series[..., index], dim=1)
        total = total + nn.functional.softplus(MARGIN - falls).mean()
        total = total + nn.functional.softplus(MARGIN - rises).mean()
    return total / len(AXES)


def calibrate(net, seen, photos):
    """Sets slope and shift so that the axes' logits are calibrated on mixtures of photos that were
    kept aside."""
    raw = evaluation.Result(answered(net, seen), evaluation.truths(photos))
    for index, axis in enumerate(AXES):
        net.slope[index], net.shift[index] = metrics.platt(*raw.mixture(axis))
    return net


def answered(net, seen):
    with torch.no_grad():
        return net.answer(seen.flatten(0, 1)).unflatten(0, seen.shape[:2]).numpy()


def probabilities(net, photos, work, spec):
    """What a network says of photos that it has not seen, and the truth."""
    logits = answered(net, see(net, photos, work, spec))
    return evaluation.Result(expit(logits), evaluation.truths(photos))


def answers(net, shown, spec):
    """[count, labels] for pictures as bytes, by PyTorch."""
    with torch.no_grad():
        return net(spec.tensor(shown)).numpy()
