"""Consumes SQS and records in DynamoDB, told by variables which and where.

As first written it takes a message at a time and makes a call for each step; else it takes ten and makes
one call for all of them.
"""

import json
import os

import boto3

BATCH = 10


def consume(is_one_by_one, look_all):
    """Has `look_all` look at the files that messages name, for ever."""
    url, endpoint = os.environ["PEER_QUEUE"], os.environ["PEER_ENDPOINT"]
    sqs = boto3.client("sqs", endpoint_url=endpoint)
    table = boto3.resource("dynamodb", endpoint_url=endpoint).Table("results")
    batch = 1 if is_one_by_one else BATCH
    print("ready", flush=True)
    while True:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=batch, WaitTimeSeconds=5)
        messages = answer.get("Messages", [])
        files = [message["Body"] for message in messages]
        items = [
            {"image": file, "scores": json.dumps(scores)}
            for file, scores in zip(files, look_all(files))
        ]
        if not messages:
            continue
        if is_one_by_one:
            table.put_item(Item=items[0])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])
        else:
            with table.batch_writer() as writer:
                for item in items:
                    writer.put_item(Item=item)
            entries = [
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                for n, message in enumerate(messages)
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
