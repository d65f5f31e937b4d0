//! Texts from a list, which is that of the domain's type.

use std::{borrow::Cow, fmt::Display, marker::PhantomData};

use strum::IntoEnumIterator;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// A text that is one of the words of `T`.
pub struct OneOf<T>(PhantomData<T>);

/// Why a task failed.
pub type Code = OneOf<flota_core::Code>;
/// Why something is a dead letter.
pub type Reason = OneOf<flota_core::Reason>;
/// Where a request stands.
pub type Status = OneOf<flota_core::Status>;
/// Whether a callback will be tried again.
pub type CallbackState = OneOf<flota_core::CallbackState>;
/// What a callback tells.
pub type CallbackEvent = OneOf<flota_core::CallbackEvent>;
/// How urgent a request is.
pub type Priority = OneOf<flota_core::Priority>;
/// Why a replay ended early.
pub type StopReason = OneOf<flota_core::StopReason>;
/// Why the API did not do what was asked.
pub type ProblemCode = OneOf<crate::ProblemCode>;

/// A list of words with its name in the document.
pub trait Words {
    /// The name of the schema.
    const NAME: &'static str;
    /// What the words are for.
    const ABOUT: &'static str;

    /// All of them, as they are written.
    fn all() -> Vec<String>;
}

fn each<T: IntoEnumIterator + Display>() -> Vec<String> {
    T::iter().map(|word| word.to_string()).collect()
}

impl Words for flota_core::Code {
    const NAME: &'static str = "Code";
    const ABOUT: &'static str = "Why a task failed; later versions may have more";

    fn all() -> Vec<String> {
        each::<Self>()
    }
}

impl Words for flota_core::Reason {
    const NAME: &'static str = "Reason";
    const ABOUT: &'static str = "Why it is a dead letter";

    fn all() -> Vec<String> {
        each::<Self>()
    }
}

impl Words for flota_core::Status {
    const NAME: &'static str = "Status";
    const ABOUT: &'static str = "Where a request stands";

    fn all() -> Vec<String> {
        each::<Self>()
    }
}

impl Words for flota_core::CallbackState {
    const NAME: &'static str = "CallbackState";
    const ABOUT: &'static str = "Whether a callback will be tried again";

    fn all() -> Vec<String> {
        each::<Self>()
    }
}

impl Words for flota_core::CallbackEvent {
    const NAME: &'static str = "CallbackEvent";
    const ABOUT: &'static str = "What a callback tells";

    fn all() -> Vec<String> {
        each::<Self>()
    }
}

impl Words for flota_core::Priority {
    const NAME: &'static str = "Priority";
    const ABOUT: &'static str = "How urgent a request is";

    fn all() -> Vec<String> {
        vec![Self::Normal.to_string()]
    }
}

impl Words for flota_core::StopReason {
    const NAME: &'static str = "StopReason";
    const ABOUT: &'static str = "Why a replay ended early";

    fn all() -> Vec<String> {
        each::<Self>()
    }
}

impl Words for crate::ProblemCode {
    const NAME: &'static str = "ProblemCode";
    const ABOUT: &'static str = "Why a call was refused; later versions may have more";

    fn all() -> Vec<String> {
        each::<Self>()
    }
}

impl<T: Words> PartialSchema for OneOf<T> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(T::ABOUT))
            .enum_values(Some(T::all()))
            .into()
    }
}

impl<T: Words> ToSchema for OneOf<T> {
    fn name() -> Cow<'static, str> {
        T::NAME.into()
    }
}
