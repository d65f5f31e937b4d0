//! Accounts in the emulator, of which none sees what another has.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_sqs::config::Credentials;
use flota_core::ports::Store;
use flota_platform::{
    aws::{self, Clients},
    settings::Settings,
};

use crate::emulator::Emulator;

/// An empty account.
pub struct Account {
    pub id: String,
    pub settings: Settings,
    pub clients: Clients,
}

impl Account {
    /// The account's settings are the defaults for AWS but for `changes`, key and value.
    pub async fn new(changes: &[(&str, &str)]) -> Self {
        static ACCOUNTS: AtomicU32 = AtomicU32::new(1);
        let id = format!("{:012}", ACCOUNTS.fetch_add(1, Ordering::Relaxed));
        // No two accounts have a bucket of one name.
        let bucket = format!("uploads-{id}");
        let usual = [
            ("backend", "aws"),
            ("aws.region", "eu-central-1"),
            ("aws.endpoint", Emulator::shared().endpoint()),
            ("aws.bucket", &bucket),
        ];
        let all = usual.iter().chain(changes);
        let all: Vec<_> = all.map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let settings = Settings::from_sources(None, [], &all).unwrap();
        let credentials = Credentials::new(&id, "secret", None, None, "test");
        let clients = Clients::with_credentials(&settings.aws, credentials).await.unwrap();
        Self { id, settings, clients }
    }

    /// Its adapters.
    pub async fn open(&self) -> Store {
        aws::open_with(self.clients.clone(), &self.settings).await.unwrap()
    }
}
