"""The training loop: resumable, seeded, with an average of the weights."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm


@dataclass(frozen=True)
class Settings:
    """How long and how fast is learned."""

    epochs: int
    batch: int
    rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    """The share of the steps in which the rate rises; then it falls as a cosine."""
    ema: float = 0.995
    workers: int = 1
    clip: float = 5.0


def device():
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(net, loss, samples, settings, checkpoint, fresh=False, title="training"):
    """Trains `net` and gives the average of its weights, in evaluation mode, on the CPU.

    `loss(net, images, targets)` gets a batch of `samples`, images as bytes. After each epoch
    `checkpoint` is written; where one of the same settings is there, it is gone on from. Ctrl-C
    loses no more than the epoch that runs.
    """
    checkpoint, place = Path(checkpoint), device()
    net.to(place).train()
    average = AveragedModel(net, multi_avg_fn=Averaging(settings.ema), use_buffers=True)
    optimizer = torch.optim.AdamW(groups(net, settings.weight_decay), lr=settings.rate)
    steps_per_epoch = max(1, len(samples) // settings.batch)
    schedule = cosine(optimizer, settings.epochs * steps_per_epoch, settings.warmup)
    state = {"net": net, "average": average, "optimizer": optimizer, "schedule": schedule}
    identity = {**asdict(settings), "samples": len(samples), "seed": samples.seed, "title": title}
    # What else tells these samples from others, where they say it.
    identity |= getattr(samples, "identity", {})
    first = 0 if fresh else resume(checkpoint, state, identity)
    for epoch in range(first, settings.epochs):
        total, count = 0.0, 0
        batches = samples.batches(epoch, settings.batch, settings.workers)
        bar = tqdm(
            batches, desc=f"{title} {epoch + 1}/{settings.epochs}", leave=False, mininterval=2
        )
        for images, targets in bar:
            optimizer.zero_grad(set_to_none=True)
            value = loss(net, images.to(place), moved(targets, place))
            value.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
            optimizer.step()
            schedule.step()
            average.update_parameters(net)
            total, count = total + value.item(), count + 1
            bar.set_postfix(loss=f"{total / count:.4f}")
        save(checkpoint, state, identity, epoch + 1)
        tqdm.write(
            f"{title}: epoch {epoch + 1} of {settings.epochs}, loss {total / max(1, count):.4f}"
        )
    return average.module.cpu().eval()


class Averaging:
    """An exponential average that first follows quickly, so that the untrained weights are gone
    early."""

    def __init__(self, decay):
        self.decay = decay

    def __call__(self, averages, values, count):
        decay = min(self.decay, (1 + int(count)) / (10 + int(count)))
        for average, value in zip(averages, values):
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)


def groups(net, weight_decay):
    """Weights decay, biases and scales of norms do not."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def cosine(optimizer, steps, warmup):
    rising = max(1, int(steps * warmup))
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, total_iters=rising)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - rising))
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], [rising])


def moved(targets, place):
    if isinstance(targets, torch.Tensor):
        return targets.to(place)
    if isinstance(targets, dict):
        return {key: moved(value, place) for key, value in targets.items()}
    return [moved(value, place) for value in targets]


def resume(checkpoint, state, identity):
    """The epoch to begin with; a checkpoint of other settings is left aside."""
    if not checkpoint.is_file():
        return 0
    saved = torch.load(checkpoint, map_location=device(), weights_only=True)
    if saved["identity"] != identity:
        return 0
    for name, part in state.items():
        part.load_state_dict(saved[name])
    print(f"resuming {checkpoint} after epoch {saved['epoch']}")
    return saved["epoch"]


def save(checkpoint, state, identity, epoch):
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    parts = {name: part.state_dict() for name, part in state.items()}
    beside = checkpoint.with_suffix(".part")
    torch.save({**parts, "identity": identity, "epoch": epoch}, beside)
    os.replace(beside, checkpoint)
