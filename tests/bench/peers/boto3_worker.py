"""A consumer of SQS that records in DynamoDB, told by variables what it serves.

As first written it takes a message at a time and makes a call for each step; tuned it takes ten and makes
one call for all of them.
"""

import json
import os

import boto3

import look

BATCH = {"plain": 1, "tuned": 10}


def main():
    way, url = os.environ["PEER_WAY"], os.environ["PEER_QUEUE"]
    endpoint = os.environ["PEER_ENDPOINT"]
    sqs = boto3.client("sqs", endpoint_url=endpoint)
    table = boto3.resource("dynamodb", endpoint_url=endpoint).Table("results")
    looker = look.looker(way, os.environ["PEER_MODEL"])
    print("ready", flush=True)
    while True:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=BATCH[way], WaitTimeSeconds=5
        )
        messages = answer.get("Messages", [])
        items = [
            {"image": message["Body"], "scores": json.dumps(looker.look(message["Body"]))}
            for message in messages
        ]
        if not messages:
            continue
        if way == "plain":
            table.put_item(Item=items[0])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])
        else:
            with table.batch_writer() as batch:
                for item in items:
                    batch.put_item(Item=item)
            entries = [
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                for n, message in enumerate(messages)
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)


if __name__ == "__main__":
    main()
