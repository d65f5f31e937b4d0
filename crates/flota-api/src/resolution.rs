//! What is decided about dead letters: bodies of calls, and their answers.

use flota_core::{Code, DeadLetterSelection, ModelName, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{DeadLetterGroups, DeadLetterView, object::whole};

/// What a replay would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DryRun))]
pub struct ReplayDryRun {
    /// How many dead letters it would take; a `limit` is not counted in.
    #[serde(flatten)]
    pub groups: DeadLetterGroups,
    /// The first of them.
    pub sample: Vec<DeadLetterView>,
}

/// How many dead letters were given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiscardAnswer {
    /// So many.
    pub discarded_count: u64,
    /// There may be more: give up those `after` this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next_after: Option<String>,
}

/// Who decides about a dead letter, or stops a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resolution {
    /// Whom to name in the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Who has a dead letter's task run again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ReplayOne {
    /// Whom to name in the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Only say whether it would run.
    pub dry_run: bool,
}

// serde's `flatten` and `deny_unknown_fields` exclude each other: each body below spells a selection out.

/// Which dead letters are to be given up; one condition at least.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DiscardBody {
    /// Of this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub model: Option<ModelName>,
    /// For this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub reason: Option<Reason>,
    /// With this code: of the failed outcome, or of the last fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub code: Option<Code>,
    /// Dead-lettered at this time (RFC 3339) or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub since: Option<Timestamp>,
    /// Dead-lettered before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub until: Option<Timestamp>,
    /// In which this stands: in an id, the last error, the image's address, the queue or the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many: 1000 if absent, and at most.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Whom to name in the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Which dead letters of a model are to be replayed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ReplayBody {
    /// Of this model; it must be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub model: Option<ModelName>,
    /// For this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub reason: Option<Reason>,
    /// With this code: of the failed outcome, or of the last fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub code: Option<Code>,
    /// Dead-lettered at this time (RFC 3339) or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub since: Option<Timestamp>,
    /// Dead-lettered before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub until: Option<Timestamp>,
    /// In which this stands: in an id, the last error, the image's address, the queue or the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// At most so many.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub limit: Option<u32>,
    /// At most so many in a second.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 10_000))]
    pub rate_per_second: Option<u32>,
    /// The version of the model that is to run: refused where it is not the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_version: Option<String>,
    /// Only say which ones it would be.
    pub dry_run: bool,
    /// Whom to name in the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl From<DeadLetterSelection> for DiscardBody {
    fn from(selection: DeadLetterSelection) -> Self {
        let DeadLetterSelection { model, reason, code, since, until, text } = selection;
        Self { model, reason, code, since, until, text, ..Self::default() }
    }
}

impl From<DeadLetterSelection> for ReplayBody {
    fn from(selection: DeadLetterSelection) -> Self {
        let DeadLetterSelection { model, reason, code, since, until, text } = selection;
        Self { model, reason, code, since, until, text, ..Self::default() }
    }
}
