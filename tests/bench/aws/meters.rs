//! What processes of a fleet have counted.

use std::{collections::BTreeMap, ops::Sub};

use anyhow::Result;
use reqwest::Client;

const PREFIX: &str = "flota_aws_";

/// Counters by their name and labels, as `/metrics` writes them.
#[derive(Debug, Clone, Default)]
pub struct Meters(BTreeMap<String, f64>);

impl Meters {
    /// What the process with this port has counted so far.
    pub async fn read(http: &Client, port: u16) -> Result<Self> {
        let address = format!("http://127.0.0.1:{port}/metrics");
        let text = http.get(address).send().await?.error_for_status()?.text().await?;
        let counters = text.lines().filter(|line| line.starts_with(PREFIX));
        let parsed = counters.filter_map(|line| {
            let (name, count) = line.rsplit_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        Ok(Self(parsed.collect()))
    }

    /// With what another process has counted.
    pub fn and(mut self, other: Self) -> Self {
        for (name, count) in other.0 {
            *self.0.entry(name).or_default() += count;
        }
        self
    }

    /// Units of SQS.
    pub fn sqs_units(&self) -> f64 {
        self.sum(&["sqs_units_total"])
    }

    /// Calls of SQS.
    pub fn sqs_requests(&self) -> f64 {
        self.sum(&["requests_total", "service=\"sqs\""])
    }

    /// Units of DynamoDB: `read` or `write`.
    pub fn dynamodb_units(&self, kind: &str) -> f64 {
        self.sum(&["dynamodb_units_total", &format!("kind=\"{kind}\"")])
    }

    /// Calls of S3.
    pub fn s3_requests(&self) -> f64 {
        self.sum(&["requests_total", "service=\"s3\""])
    }

    /// The calls themselves, by service and operation.
    pub fn requests(&self) -> impl Iterator<Item = (&str, f64)> {
        let requests = self.0.iter().filter(|(name, _)| name.contains("requests_total"));
        requests.map(|(name, count)| (name.as_str(), *count))
    }

    fn sum(&self, parts: &[&str]) -> f64 {
        let wanted = |name: &str| parts.iter().all(|part| name.contains(part));
        let counts = self.0.iter().filter(|(name, _)| wanted(name)).map(|(_, count)| count);
        // The sum of nothing is -0.
        counts.sum::<f64>().abs()
    }
}

impl Sub for Meters {
    type Output = Self;

    fn sub(mut self, before: Self) -> Self {
        for (name, count) in before.0 {
            *self.0.entry(name).or_default() -= count;
        }
        self
    }
}
