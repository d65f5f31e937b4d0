"""Submits an image with the generated client and reads a score: python score.py URL IMAGE"""

import pathlib
import sys

import client
from client.api.images import upload_image
from client.api.requests import show_request, submit_request
from client.models import SubmittedImage, Submission, SucceededOutcome
from client.types import File


def main(url, image):
    flota = client.Client(base_url=url, raise_on_unexpected_status=True)
    with pathlib.Path(image).open("rb") as payload:
        uploaded = upload_image.sync(client=flota, body=File(payload=payload))
    submission = Submission(images=[SubmittedImage(url=uploaded.url)], models=["image-quality"])
    accepted = submit_request.sync(client=flota, body=submission)
    finished = show_request.sync(accepted.id, client=flota, wait=60)
    [outcome] = finished.outcomes
    assert isinstance(outcome, SucceededOutcome), outcome
    scores = {score.label: score.score for score in outcome.prediction.output.scores}
    print(f"  {finished.status}: too_dark {scores['too_dark']:.3f}")
    assert scores["low_contrast"] > 0.5, scores


if __name__ == "__main__":
    main(*sys.argv[1:])
