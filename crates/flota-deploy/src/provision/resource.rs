use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// What the fleet needs of AWS, and how it was found or left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
    /// What it is to be, in the words of its service.
    pub attributes: BTreeMap<String, String>,
    /// How it is.
    #[serde(flatten)]
    pub state: State,
}

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum ResourceKind {
    /// A queue of SQS.
    Queue,
    /// A table of DynamoDB.
    Table,
    /// A bucket of S3.
    Bucket,
    /// What a bucket tells a queue.
    Notification,
}

/// How a resource is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// As it is to be.
    Ready,
    /// Not there.
    Missing,
    /// There, and not as it is to be.
    Different {
        /// In what.
        differences: Vec<Difference>,
    },
    /// It was not there and was made.
    Made,
    /// It was different and was changed.
    Changed {
        /// In what.
        differences: Vec<Difference>,
    },
}

/// An attribute that is not what it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which attribute.
    pub attribute: String,
    /// What it is.
    pub found: String,
    /// What it is to be.
    pub wanted: String,
    /// Whether it stays so for the life of the resource.
    pub is_fixed: bool,
}

impl Difference {
    /// One that can be changed.
    pub(super) fn new(
        attribute: impl Into<String>,
        found: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Self {
        let (attribute, found, wanted) = (attribute.into(), found.into(), wanted.into());
        Self { attribute, found, wanted, is_fixed: false }
    }

    /// One that cannot.
    pub(super) fn fixed(self) -> Self {
        Self { is_fixed: true, ..self }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attribute, found, wanted, .. } = self;
        write!(f, "{attribute} is {found}, wanted: {wanted}")
    }
}

impl Resource {
    /// Whether it is as it is to be.
    pub fn is_ready(&self) -> bool {
        !matches!(self.state, State::Missing | State::Different { .. })
    }

    /// In what it differs, or did.
    pub fn differences(&self) -> &[Difference] {
        match &self.state {
            State::Different { differences } | State::Changed { differences } => differences,
            State::Ready | State::Missing | State::Made => &[],
        }
    }
}
