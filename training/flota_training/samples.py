"""Training data made of photos, the same for the same seed."""

import os
import zlib
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate
from tqdm import tqdm


class Samples(Dataset):
    """`sample(photo, rng) -> (image, target)` made `variants` times of every photo and kept, so that
    every epoch, round and resumed run reads the same: `image` is bytes of height x width x 3,
    perhaps several of them stacked, `target` numbers, arrays, or a dictionary of them."""

    def __init__(self, photos, sample, variants, count, seed, folder, weights=None):
        """`count`: samples an epoch. `folder`: where they are kept; one for each way of making
        them. `weights`: how often a photo is taken, relative to the others."""
        self.count, self.seed = count, seed
        bar = tqdm(photos, desc="preparing", leave=False, mininterval=5)
        self.parts = [kept(photo, sample, variants, Path(folder)) for photo in bar]
        weights = np.ones(len(photos)) if weights is None else np.asarray(weights, float)
        self.shares = np.repeat(weights, variants) / (weights.sum() * variants)
        self.variants = variants
        names = [photo.name + str(sorted(photo.labels.items())) for photo in photos]
        # So that no checkpoint of other photos is gone on from.
        self.identity = {"photos": zlib.crc32("\n".join(names).encode())}

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        images, targets = self.parts[index // self.variants]
        variant = index % self.variants
        return images[variant], picked(targets, variant)

    def batches(self, epoch, size, workers):
        """The batches of `epoch`; `workers` processes read them, or none."""
        order = np.random.default_rng((self.seed, epoch)).choice(
            len(self.shares), self.count, p=self.shares
        )
        return DataLoader(
            self, size, sampler=order.tolist(), num_workers=workers, drop_last=self.count >= size
        )


def kept(photo, sample, variants, folder):
    """(images, targets) of one photo, read from `folder`, or made and written there."""
    identity = f"{photo.path}{sorted(photo.labels.items()) or ''}"
    file = folder / f"{photo.name}-{zlib.crc32(identity.encode()):08x}-{variants}.pt"
    if not file.is_file():
        made = [
            sample(photo, np.random.default_rng((zlib.crc32(photo.name.encode()), k)))
            for k in range(variants)
        ]
        whole = default_collate([(as_planes(image), target) for image, target in made])
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(whole, file.with_suffix(".part"))
        os.replace(file.with_suffix(".part"), file)
    return torch.load(file, mmap=True, weights_only=True)


def picked(targets, variant):
    if isinstance(targets, dict):
        return {name: value[variant] for name, value in targets.items()}
    return targets[variant]


def as_planes(image):
    """Bytes of [..., height, width, 3] as a tensor of [..., 3, height, width]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, -3)))
