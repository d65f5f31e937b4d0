//! Records in DynamoDB. Every write of a port is one conditional write, or several that a repeat
//! completes; nothing is read to be written back but under a condition that it is still so.
//!
//! What a request of twenty images with one model costs, in write units:
//!
//! | write | units |
//! |---|---|
//! | accept: the document, the first round, its place in the index | 2 + 1 + 1 |
//! | the round is due later, for its tasks are sent | 1 |
//! | twenty predictions | 20 |
//! | twenty aliases | 20 |
//! | the pack's outcomes, in one message | 2 |
//! | the pack is complete | 1 |
//! | the round is finished, its place in the index | 1 + 1 |
//!
//! That is 50, or 2.5 a task. A callback takes six more: one to stand in the index, three to be
//! claimed, two to be delivered; an idempotency key three; three a round that the sweeper finds in the
//! index before it is due. A task of an upload event takes two, its prediction and its alias.

mod accept;
mod aliases;
mod batches;
mod callbacks;
mod columns;
mod dead_letters;
mod due;
mod keys;
mod models;
mod open;
mod outcomes;
mod packs;
mod predictions;
mod replays;
mod requests;
mod rounds;
mod table;

pub(super) use open::open;
