use std::{collections::HashMap, env, fs, mem, path::Path};

use config::{Config, Environment, File, FileFormat, Value, ValueKind};

use super::{
    Settings, SettingsError, bounds,
    schema::{self, HIDDEN},
};

/// The file that is read from the current folder where it is there and no other is named.
pub const FILE_NAME: &str = "flota.toml";

const DEFAULTS: &str = include_str!("default.toml");
const VARIABLE_PREFIX: &str = "FLOTA";
const SEPARATOR: &str = "__";
/// What the crate `config` calls variables.
const ENVIRONMENT: &str = "the environment";
const COMMAND_LINE: &str = "the command line";

/// The variable that sets `key`: `FLOTA__WORKER__LEASE_MS` for `worker.lease_ms`.
pub fn variable_name(key: &str) -> String {
    let path = key.to_uppercase().replace('.', SEPARATOR);
    format!("{VARIABLE_PREFIX}{SEPARATOR}{path}")
}

impl Settings {
    /// The settings of this process: the defaults, then `file` or else `flota.toml` where it is
    /// there, then the variables `FLOTA__…`, then `overrides` (key and value) in their order.
    pub fn load(
        file: Option<&Path>,
        overrides: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let usual = Path::new(FILE_NAME);
        let file = file.or_else(|| usual.exists().then_some(usual));
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        };
        Self::from_sources(file, env::vars_os().map(text), overrides)
    }

    /// As [`Settings::load`], with `variables` in place of the environment and no file but `file`,
    /// which must be there.
    pub fn from_sources(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
        overrides: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let schema = defaults();
        let prefix = format!("{VARIABLE_PREFIX}{SEPARATOR}");
        let variables: HashMap<_, _> =
            variables.into_iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        let mut sources = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            sources = sources.add_source(read(path)?);
        }
        sources = sources.add_source(
            Environment::with_prefix(VARIABLE_PREFIX)
                .prefix_separator(SEPARATOR)
                .separator(SEPARATOR)
                .source(Some(variables)),
        );
        for (key, value) in overrides {
            if key == HIDDEN {
                return Err(SettingsError::OnCommandLine {
                    key: key.clone(),
                    variable: variable_name(key),
                });
            }
            let value = Value::new(Some(&COMMAND_LINE.to_owned()), value.as_str());
            if schema::at(&schema, key).is_none() {
                return Err(schema::unknown(&schema, key.clone(), &value));
            }
            sources = sources.set_override(key, value).map_err(syntax)?;
        }
        Self::build(&schema, sources.build().map_err(syntax)?)
    }

    fn build(schema: &Value, mut config: Config) -> Result<Self, SettingsError> {
        schema::conform(schema, "", schema, &mut config.cache)?;
        let root = config.cache.clone();
        let mut settings: Self =
            config.try_deserialize().map_err(|error| schema::refused(&root, error))?;
        if settings.queue.poll_wait.is_zero() {
            settings.queue.poll_wait = settings.backend.poll_wait();
        }
        bounds::check(&settings).map_err(|broken| {
            let unset = Value::default();
            let value = schema::at(&root, broken.key).unwrap_or(&unset);
            schema::invalid(broken.key, value, broken.wanted)
        })?;
        Ok(settings)
    }
}

impl Default for Settings {
    /// The compiled-in defaults.
    fn default() -> Self {
        Self::from_sources(None, [], &[]).expect("a test reads the compiled-in defaults")
    }
}

/// Where the value of `key` stands, for people.
pub(super) fn describe_origin(key: &str, origin: Option<&str>) -> String {
    match origin {
        None => "by default".to_owned(),
        Some(ENVIRONMENT) => format!("from the variable {}", variable_name(key)),
        Some(COMMAND_LINE) => format!("from {COMMAND_LINE}"),
        Some(file) => format!("in {file}"),
    }
}

fn defaults() -> Value {
    let source = File::from_str(DEFAULTS, FileFormat::Toml);
    let built = Config::builder().add_source(source).build();
    built.expect("a test reads the compiled-in defaults").cache
}

/// What a file sets, each value marked with the file's path as it was given.
fn read(path: &Path) -> Result<Config, SettingsError> {
    let text = fs::read_to_string(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    let mut config = Config::builder()
        .add_source(File::from_str(&text, FileFormat::Toml))
        .build()
        .map_err(|error| SettingsError::Syntax(format!("{origin}: {error}")))?;
    mark(&mut config.cache, &origin);
    Ok(config)
}

fn mark(value: &mut Value, origin: &String) {
    let mut kind = mem::take(&mut value.kind);
    if let ValueKind::Table(children) = &mut kind {
        children.values_mut().for_each(|child| mark(child, origin));
    }
    *value = Value::new(Some(origin), kind);
}

fn syntax(error: config::ConfigError) -> SettingsError {
    SettingsError::Syntax(error.to_string())
}
