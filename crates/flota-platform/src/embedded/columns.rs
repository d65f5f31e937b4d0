//! How values of the domain stand in columns.

use std::{error::Error, str::FromStr};

use flota_core::{PortError, RequestId, Sha256};
use jiff::Timestamp;
use rusqlite::{Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use super::error::Fault;

/// A time as nanoseconds since 1970, which an integer column holds until the year 2262.
pub(super) fn nanos(time: Timestamp) -> i64 {
    let nanos = time.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// The time of a column.
pub(super) fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanos.into()).expect("a timestamp's range is wider than the column")
}

/// A bound as SQL has it; a larger one means all.
pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A request's id as a blob.
pub(super) fn blob(id: RequestId) -> [u8; 16] {
    id.0.into_bytes()
}

/// The hash in a text column.
pub(super) fn sha256(row: &Row<'_>, column: usize) -> rusqlite::Result<Sha256> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

/// A record that is only read whole.
pub(super) fn json<T: Serialize>(record: &T) -> Result<String, Fault> {
    Ok(serde_json::to_string(record)?)
}

/// The record in a column.
pub(super) fn record<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    Ok(serde_json::from_str(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)?)
}

/// The record in a column that may be NULL.
pub(super) fn optional_record<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> Result<Option<T>, Fault> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(text.map(serde_json::from_str).transpose()?)
}

/// A name in a text column.
pub(super) fn name<T: FromStr>(row: &Row<'_>, column: usize) -> Result<T, Fault>
where
    T::Err: Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| PortError::permanent("reading a name", error).into())
}
