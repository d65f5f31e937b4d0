use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flota_platform::{
    create_private_dir,
    settings::{NotifierSettings, Secret},
};
use jiff::Timestamp;
use standardwebhooks::Webhook;
use tempfile::NamedTempFile;
use thiserror::Error;
use tracing::info;

/// The file in the data folder with the secret that was generated for this installation.
const SECRET_FILE: &str = "callback-secret";
/// Bytes of a generated secret: the output size of HMAC-SHA256.
const SECRET_BYTES: usize = 32;

/// A signing secret cannot be read or created.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("cannot {action} the callback secret {}", path.display())]
    File {
        /// What failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The text is not a valid secret.
    #[error("{place} is not a callback secret: {wanted} is wanted")]
    Form {
        /// The setting or the file.
        place: String,
        /// The expected form.
        wanted: &'static str,
    },
}

/// Signs callbacks as specified by Standard Webhooks 1.0.
pub struct SigningSecrets {
    keys: Vec<Webhook>,
}

impl SigningSecrets {
    /// The secrets of `settings`, or else the one in `data_dir`, which is generated if it does not
    /// exist.
    pub fn open(settings: &NotifierSettings, data_dir: &Path) -> Result<Self, SecretError> {
        if !settings.secrets.is_empty() {
            return Self::new(&settings.secrets);
        }
        let secret = match read_callback_secret(data_dir)? {
            Some(secret) => secret,
            None => make(data_dir)?,
        };
        Self::new(&[secret])
    }

    /// Signs with each of `secrets`. Receivers accept a callback if one signature is valid.
    pub fn new(secrets: &[Secret]) -> Result<Self, SecretError> {
        let key = |secret: &Secret| {
            Webhook::new(secret.expose()).map_err(|_| SecretError::Form {
                place: "a secret of `notifier.secrets`".to_owned(),
                wanted: "whsec_ and 24 to 64 bytes in base64",
            })
        };
        Ok(Self { keys: secrets.iter().map(key).collect::<Result<_, _>>()? })
    }

    /// The value of the header `webhook-signature` for these exact bytes: one signature per secret.
    pub fn sign(&self, webhook_id: &str, at: Timestamp, body: &str) -> String {
        let sign = |key: &Webhook| {
            let signature = key.sign(webhook_id, at.as_second(), body.as_bytes());
            signature.expect("it fails only where the body is not UTF-8")
        };
        self.keys.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

/// The generated secret of this installation; `None` if there is none yet.
pub fn read_callback_secret(data_dir: &Path) -> Result<Option<Secret>, SecretError> {
    let path = data_dir.join(SECRET_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SecretError::File { action: "read", path, source }),
    };
    let secret = text.trim().parse();
    let place = path.display().to_string();
    secret.map(Some).map_err(|wanted| SecretError::Form { place, wanted })
}

/// Generates a secret and writes it to a file that only its owner can read. If two processes do so
/// at the same time, both use the first one.
fn make(data_dir: &Path) -> Result<Secret, SecretError> {
    let path = data_dir.join(SECRET_FILE);
    let failed = |source| SecretError::File { action: "write", path: path.clone(), source };
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(rand::random::<[u8; SECRET_BYTES]>()));
    create_private_dir(data_dir).map_err(failed)?;
    // Temporary files have the mode 0600.
    let mut file = NamedTempFile::new_in(data_dir).map_err(failed)?;
    writeln!(file, "{secret}").and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    match file.persist_noclobber(&path) {
        Ok(_) => info!(path = %path.display(), "a callback secret was made"),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error.error)),
    }
    read_callback_secret(data_dir)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn secrets(texts: &[&str]) -> SigningSecrets {
        let texts: Vec<Secret> = texts.iter().map(|text| text.parse().unwrap()).collect();
        SigningSecrets::new(&texts).unwrap()
    }

    /// The vector that Standard Webhooks' libraries publish.
    #[test]
    fn the_published_vector_is_met() {
        let secrets = secrets(&["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]);
        let at = Timestamp::from_second(1_649_367_553).unwrap();
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        assert_eq!(
            secrets.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", at, body),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
    }

    #[test]
    fn every_secret_signs_while_they_are_rotated() {
        let (new, old) =
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let body = r#"{"test": 2432232314}"#;
        let both = secrets(&[new, old]).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body);
        let first = secrets(&[new]).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body);
        assert_eq!(first, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let second = secrets(&[old]).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body);
        assert_eq!(both, format!("{first} {second}"));
    }

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_callback_secret(dir.path()).unwrap(), None);
        let made = make(dir.path()).unwrap();
        assert_eq!(make(dir.path()).unwrap(), made);
        assert_eq!(read_callback_secret(dir.path()).unwrap(), Some(made));
        let mode = fs::metadata(dir.path().join(SECRET_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(dir.path().join(SECRET_FILE), "whsec_short").unwrap();
        assert!(read_callback_secret(dir.path()).is_err());
    }
}
