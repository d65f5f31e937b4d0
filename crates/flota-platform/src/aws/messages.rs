//! Messages as SQS has them: entries of a batch, answers for each of them, deliveries.

use std::time::Duration;

use aws_sdk_sqs::types::{
    BatchResultErrorEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
    SendMessageBatchRequestEntry,
};
use flota_core::{
    PortError, PortResult,
    ports::{Delivery, NewMessage, ReceiptHandle, queue_bounds::check_message},
};
use jiff::Timestamp;

use super::error::is_transient_entry;

/// The attribute that carries the trace, as the HTTP header of W3C's Trace Context 1 is named.
const TRACE: &str = "traceparent";
/// What a message may weigh besides its body, in bytes.
const ATTRIBUTES_BYTES: usize = 256;
/// Most bytes in one call that sends: what a queue of any age takes.
pub(super) const MAX_BATCH_BYTES: usize = 256 * 1024;

/// What is sent in one call, and an answer for each message: the one of those that are not sent, and for
/// the others that nobody has spoken of them yet.
pub(super) struct Outgoing {
    pub(super) entries: Vec<SendMessageBatchRequestEntry>,
    pub(super) answers: Answers,
}

/// An answer for each entry of a call, whose id is its index.
pub(super) struct Answers {
    what: &'static str,
    of_entries: Vec<PortResult<()>>,
}

impl Outgoing {
    /// Checks `messages` and writes them as SQS takes them.
    pub(super) fn new(messages: &[NewMessage]) -> PortResult<Self> {
        let mut answers = Answers::new("sending a message", messages.len());
        let mut entries = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            if let Err(refusal) = check_message(message).and_then(|()| check_characters(message)) {
                answers.of_entries[index] = Err(refusal);
                continue;
            }
            entries.push(entry(index, message)?);
        }
        Ok(Self { entries, answers })
    }
}

impl Answers {
    /// As if the service had named none of `count` entries; `what` was being done to each.
    pub(super) fn new(what: &'static str, count: usize) -> Self {
        let unnamed = || Err(PortError::transient(what, "the answer does not name it"));
        Self { what, of_entries: (0..count).map(|_| unnamed()).collect() }
    }

    /// Notes which entries succeeded, and why others failed.
    pub(super) fn note<'a>(
        &mut self,
        succeeded: impl Iterator<Item = &'a str>,
        failed: &[BatchResultErrorEntry],
    ) {
        for id in succeeded {
            self.set(id, Ok(()));
        }
        for entry in failed {
            let (code, message) = (entry.code(), entry.message().unwrap_or("no reason was given"));
            let why = format!("{code}: {message}");
            let what = format!("{}: {why}", self.what);
            let error = if is_transient_entry(entry) {
                PortError::transient(what, why)
            } else {
                PortError::permanent(what, why)
            };
            self.set(entry.id(), Err(error));
        }
    }

    /// Notes that the call failed of which `entries` are the content.
    pub(super) fn fail(&mut self, entries: &[SendMessageBatchRequestEntry], error: &PortError) {
        for entry in entries {
            self.set(entry.id(), Err(error.clone()));
        }
    }

    pub(super) fn into_vec(self) -> Vec<PortResult<()>> {
        self.of_entries
    }

    fn set(&mut self, id: &str, answer: PortResult<()>) {
        if let Some(slot) = id.parse().ok().and_then(|index: usize| self.of_entries.get_mut(index))
        {
            *slot = answer;
        }
    }
}

/// What a message takes of the bytes of a call.
pub(super) fn size_bytes(message: &NewMessage) -> usize {
    message.body.len() + ATTRIBUTES_BYTES
}

/// A time in the whole seconds that SQS takes: never less than asked.
pub(super) fn seconds(time: Duration) -> i32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// A message as the port tells of it.
pub(super) fn delivery(message: Message) -> PortResult<Delivery> {
    let lacks = |what: &str| {
        PortError::permanent("reading a received message", format!("it came without {what}"))
    };
    let attribute = |name| message.attributes().and_then(|all| all.get(&name)?.parse::<i64>().ok());
    let receive_count = attribute(MessageSystemAttributeName::ApproximateReceiveCount);
    let sent_at = attribute(MessageSystemAttributeName::SentTimestamp);
    Ok(Delivery {
        receive_count: receive_count
            .and_then(|count| count.try_into().ok())
            .ok_or_else(|| lacks("its receive count"))?,
        sent_at: sent_at
            .and_then(|millisecond| Timestamp::from_millisecond(millisecond).ok())
            .ok_or_else(|| lacks("the time when it was sent"))?,
        receipt: ReceiptHandle(message.receipt_handle.ok_or_else(|| lacks("a receipt handle"))?),
        body: message.body.unwrap_or_default(),
    })
}

fn entry(index: usize, message: &NewMessage) -> PortResult<SendMessageBatchRequestEntry> {
    let invalid = |error| PortError::permanent("sending a message", error);
    let group = Some(&message.group).filter(|group| !group.is_empty());
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(&message.body)
        .delay_seconds(seconds(message.delay))
        .set_message_group_id(group.cloned());
    if let Some(trace) = &message.trace {
        let value = MessageAttributeValue::builder().data_type("String");
        let value = value.string_value(trace.to_string()).build().map_err(invalid)?;
        entry = entry.message_attributes(TRACE, value);
    }
    entry.build().map_err(invalid)
}

/// Refuses what SQS does not carry: the writer of a body escapes it.
fn check_characters(message: &NewMessage) -> PortResult<()> {
    let is_xml = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    match message.body.chars().find(|c| !is_xml(*c)) {
        None => Ok(()),
        Some(c) => {
            let why = format!("its body has the character U+{:04X}, which XML lacks", u32::from(c));
            Err(PortError::permanent("sending a message", why))
        }
    }
}
