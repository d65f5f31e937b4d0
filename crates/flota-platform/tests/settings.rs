//! Settings: which source wins, and what a mistake is told.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

use std::{fs, path::PathBuf, time::Duration};

use flota_platform::settings::{LogFormat, Settings, SettingsError, variable_name};

/// What comes of a file, of variables and of the command line.
fn check(
    file: &str,
    variables: &[(&str, &str)],
    overrides: &[(&str, &str)],
) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flota.toml");
    fs::write(&path, file).unwrap();
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    Settings::from_sources(Some(&path), owned(variables), &owned(overrides))
}

/// Sees that a file is refused with a sentence that has all of `parts`.
fn check_refused(file: &str, parts: &[&str]) {
    check_sentence(check(file, &[], &[]), parts);
}

fn check_sentence(settings: Result<Settings, SettingsError>, parts: &[&str]) {
    let sentence = settings.expect_err("the settings were taken").to_string();
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is missing in: {sentence}");
    }
}

#[test]
fn the_compiled_in_defaults_are_whole() {
    let settings = Settings::default();
    assert_eq!(settings, check("", &[], &[]).unwrap());
    assert_eq!(settings.data_dir, PathBuf::from("./flota-data"));
    assert_eq!(settings.server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.server.public_url, None);
    assert_eq!(settings.queue.lease, Duration::from_secs(30));
    assert_eq!(settings.worker.attempts, None);
    assert_eq!(settings.weights_dir(), PathBuf::from("./flota-data/weights"));
    assert_eq!(settings.notifier.schedule.len(), 9);
    assert!(settings.network.allow.is_empty(), "a private network is allowed by default");
    assert_eq!(settings.log.format, LogFormat::Auto);
}

#[test]
fn a_later_source_goes_over_an_earlier_one() {
    let file = "[queue]\nlease_ms = 60000\ndrain_ms = 1\n[log]\nlevel = \"debug\"\n";
    let variables = [("FLOTA__QUEUE__LEASE_MS", "20000"), ("FLOTA__LOG__LEVEL", "warn")];
    let settings = check(file, &variables, &[("log.level", "trace")]).unwrap();
    assert_eq!(settings.queue.drain, Duration::from_millis(1), "the file");
    assert_eq!(settings.queue.lease, Duration::from_secs(20), "the variable");
    assert_eq!(settings.log.level, "trace", "the command line");
    assert_eq!(settings.worker.capacity_tasks, 256, "the default");
}

#[test]
fn variables_and_the_command_line_hold_numbers_lists_and_text() {
    let name = variable_name("worker.fetch_concurrency");
    assert_eq!(name, "FLOTA__WORKER__FETCH_CONCURRENCY");
    let variables = [
        (name.as_str(), "7"),
        ("FLOTA__NETWORK__ALLOW", "127.0.0.0/8, ::1"),
        ("FLOTA__MODELS__DIRS", "[\"a,b\", \"c\"]"),
        ("FLOTA__DATA_DIR", "/data"),
        ("FLOTA__SERVER__PUBLIC_URL", "https://flota.example/base"),
        ("FLOTA__WORKER__CACHE_DIR", "/cache"),
        ("FLOTA_GOLDEN_DATA", "not a setting"),
        ("OTHER__WORKER__LEASE", "not a setting"),
    ];
    let overrides = [("notifier.schedule_ms", "10,20"), ("worker.infer_threads", "2")];
    let settings = check("", &variables, &overrides).unwrap();
    assert_eq!(settings.worker.fetch_concurrency, 7);
    let allow = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
    assert_eq!(settings.network.allow, allow);
    assert_eq!(settings.models.dirs, ["a,b", "c"].map(PathBuf::from));
    assert_eq!(settings.data_dir, PathBuf::from("/data"));
    assert_eq!(settings.server.public_url.unwrap().as_str(), "https://flota.example/base");
    assert_eq!(settings.worker.cache_dir, Some(PathBuf::from("/cache")));
    assert_eq!(settings.notifier.schedule, [10, 20].map(Duration::from_millis));
    assert_eq!(settings.worker.infer_threads.map(usize::from), Some(2));
    let empty = check("", &[("FLOTA__MODELS__DIRS", "")], &[]).unwrap();
    assert!(empty.models.dirs.is_empty());
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one_and_its_place() {
    check_refused("[queue]\nleas_ms = 1\n", &["`queue.leas_ms`", "`queue.lease_ms`", "flota.toml"]);
    check_refused("[qeueu]\nlease_ms = 1\n", &["`qeueu.lease_ms`", "`queue.lease_ms`"]);
    check_refused("data_dri = \"x\"\n", &["`data_dri`", "`data_dir`"]);
    check_refused("listen_address = \"x\"\n", &["`listen_address`"]);
    check_refused("[queue.lease_ms]\nx = 1\n", &["`queue.lease_ms.x`", "`queue.lease_ms`"]);
    let variable = [("FLOTA__SWEEPER__INTERVAL", "1")];
    check_sentence(
        check("", &variable, &[]),
        &["`sweeper.interval`", "`sweeper.interval_ms`", "the variable FLOTA__SWEEPER__INTERVAL"],
    );
    check_sentence(
        check("", &[], &[("server.listne", "x")]),
        &["`server.listne`", "`server.listen`", "the command line"],
    );
    check_sentence(check("", &[("FLOTA__", "x")], &[]), &["unknown setting"]);
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_is_wanted() {
    check_refused(
        "[queue]\nlease_ms = \"soon\"\n",
        &["`queue.lease_ms`", "\"soon\"", "a whole number", "flota.toml"],
    );
    for value in ["-1", "1.5", "true", "[1]"] {
        check_refused(&format!("[queue]\nlease_ms = {value}\n"), &["lease_ms"]);
        let variable = [("FLOTA__QUEUE__LEASE_MS", value)];
        check_sentence(check("", &variable, &[]), &["`queue.lease_ms`", value, "a whole number"]);
    }
    let variable = [("FLOTA__QUEUE__LEASE_MS", "99999999999999999999")];
    check_sentence(check("", &variable, &[]), &["`queue.lease_ms`", "a whole number"]);
    check_refused("worker = 3\n", &["`worker`", "a section"]);
    check_refused("[log]\nlevel = 3\n", &["`log.level`", "is 3", "text"]);
    check_refused("[models]\ndirs = 3\n", &["`models.dirs`", "a list"]);
    check_refused("[notifier]\nschedule_ms = [1, \"x\"]\n", &["`notifier.schedule_ms`", "x"]);
    check_refused(
        "[worker]\nlisten = \"here\"\n",
        &["`worker.listen`", "\"here\"", "127.0.0.1:8080"],
    );
    check_refused("[server]\npublic_url = \"flota\"\n", &["`server.public_url`", "http://"]);
    check_refused("backend = \"sql\"\n", &["`backend`", "\"sql\"", "\"embedded\"", "\"aws\""]);
    check_refused("[log]\nformat = \"xml\"\n", &["`log.format`", "\"human\""]);
    check_refused("[network]\nallow = [\"10.0.0.0/33\"]\n", &["`network.allow`", "10.0.0.0/33"]);
    let variable = [("FLOTA__MODELS__DIRS", "[\"a\"")];
    check_sentence(check("", &variable, &[]), &["`models.dirs`", "a list"]);
}

#[test]
fn a_value_outside_its_bounds_is_named_with_the_bounds() {
    for (file, parts) in [
        ("backend = \"aws\"", ["`aws.bucket`", "\"\"", "the name of a bucket"]),
        ("[aws]\nbucket = \"My_Bucket\"", ["`aws.bucket`", "My_Bucket", "a-z"]),
        ("[aws]\ncall_timeout_ms = 1", ["`aws.call_timeout_ms`", "is 1", "100 to"]),
        ("[queue]\nlease_ms = 200", ["`queue.lease_ms`", "200", "2000"]),
        ("[queue]\nlease_ms = 1500", ["`queue.lease_ms`", "1500", "queue.poll_wait_ms"]),
        ("[queue]\nmax_lease_ms = 1000", ["`queue.max_lease_ms`", "1000", "30000"]),
        ("[worker]\ncapacity_tasks = 0", ["`worker.capacity_tasks`", "is 0", "1 to"]),
        ("[worker]\ndecode_threads = 5000", ["`worker.decode_threads`", "5000", "1024"]),
        ("[worker]\nretry_cap_ms = 1", ["`worker.retry_cap_ms`", "is 1", "1000"]),
        ("[queue]\nlease_ms = 99999999", ["`queue.lease_ms`", "99999999", "43200000"]),
        ("[sweeper]\ntime_out_after_ms = 1000", ["`sweeper.time_out_after_ms`", "1000", "300000"]),
        ("[sweeper]\ninterval_ms = 0", ["`sweeper.interval_ms`", "is 0", "10 to"]),
        ("[notifier]\nclaim_ms = 15000", ["`notifier.claim_ms`", "15000", "timeout_ms"]),
        ("[notifier]\nschedule_ms = [0]", ["`notifier.schedule_ms`", "[0]", "1 to"]),
        ("[queue]\npoll_wait_ms = 20001", ["`queue.poll_wait_ms`", "20001", "20000"]),
        ("[server]\nmax_upload_bytes = 0", ["`server.max_upload_bytes`", "is 0", "1 to"]),
        ("[log]\nlevel = \"a=b=c\"", ["`log.level`", "a=b=c", "info"]),
        ("prefix = \"Flota\"", ["`prefix`", "Flota", "a-z"]),
        ("data_dir = \"\"", ["`data_dir`", "\"\"", "a folder"]),
    ] {
        check_refused(file, &parts);
    }
    check_sentence(
        check("", &[("FLOTA__QUEUE__POLL_WAIT_MS", "20000")], &[]),
        &["`queue.lease_ms`", "by default", "40000"],
    );
}

#[test]
fn a_key_of_an_earlier_version_is_named_with_its_new_name() {
    check_refused(
        "[worker]\nlease_ms = 60000\n",
        &["`worker.lease_ms`", "is now `queue.lease_ms`", "flota.toml"],
    );
    check_sentence(
        check("", &[("FLOTA__SWEEPER__LOST_AFTER_MS", "1")], &[]),
        &[
            "`sweeper.time_out_after_ms`",
            "is now `sweeper.time_out_after_ms`",
            "FLOTA__SWEEPER__LOST_AFTER_MS",
        ],
    );
    check_refused(
        "[sweeper]\nbatch = 100\n",
        &["`sweeper.batch`", "no longer exists", "remove it"],
    );
}

#[test]
fn the_wait_of_a_poll_is_the_backends_unless_it_is_set() {
    let poll_wait = |file: &str| check(file, &[], &[]).unwrap().queue.poll_wait;
    assert_eq!(poll_wait(""), Duration::from_secs(1));
    let aws = "backend = \"aws\"\n[aws]\nbucket = \"uploads\"\n";
    assert_eq!(poll_wait(aws), Duration::from_secs(15));
    assert_eq!(poll_wait(&format!("{aws}[queue]\npoll_wait_ms = 7\n")), Duration::from_millis(7));
}

#[test]
fn requests_are_kept_for_good_unless_days_are_set() {
    let kept = |file: &str| check(file, &[], &[]).unwrap().aws.retain_requests;
    assert_eq!(kept(""), None);
    assert_eq!(kept("[aws]\nretain_requests_days = 4"), Some(Duration::from_secs(345_600)));
    // A day until it is lost, and more than a day of callbacks.
    check_sentence(
        check("[aws]\nretain_requests_days = 3", &[], &[]),
        &[
            "`aws.retain_requests_days`",
            "4 or more",
            "sweeper.time_out_after_ms",
            "notifier.schedule_ms",
        ],
    );
    let long = [("FLOTA__SWEEPER__TIME_OUT_AFTER_MS", "604800000")];
    check_sentence(check("[aws]\nretain_requests_days = 4", &long, &[]), &["10 or more"]);
}

#[test]
fn rules_for_uploads_stand_in_a_file_or_a_variable() {
    let rule = r#"bucket = "photos", prefix = "a/", models = ["cat", "dog"]"#;
    let file = format!(
        "[[ingest.rules]]\n{}\n",
        rule.replace(", prefix", "\nprefix").replace(", models", "\nmodels")
    );
    let from_file = check(&file, &[], &[]).unwrap().ingest.rules;
    let variable = format!(r#"[{{{rule}, priority = "normal"}}]"#);
    let from_variable = check("", &[("FLOTA__INGEST__RULES", &variable)], &[]).unwrap();
    assert_eq!(from_file, from_variable.ingest.rules);
    let rule = &from_file[0];
    assert_eq!(rule.models.len(), 2);
    assert!(rule.matches("photos", "a/b.jpg"));
    assert!(!rule.matches("photos", "b/a/b.jpg") && !rule.matches("others", "a/b.jpg"));

    for (rule, parts) in [
        ("bucket = \"Photos\"\nmodels = [\"cat\"]", ["`ingest.rules`", "Photos"]),
        ("bucket = \"photos\"\nmodels = []", ["`ingest.rules`", "at least one"]),
        ("bucket = \"photos\"\nmodels = [\"cat\", \"cat\"]", ["`ingest.rules`", "none twice"]),
        ("bucket = \"photos\"\nmodels = [\"C\"]", ["ingest.rules", "`C` is not a name"]),
        ("bucket = \"photos\"", ["ingest.rules", "models"]),
        ("bucket = \"photos\"\nmodels = [\"cat\"]\nmodel = 1", ["ingest.rules", "`model`"]),
        ("bucket = \"photos\"\nmodels = [\"cat\"]\npriority = \"high\"", ["ingest.rules", "high"]),
        (
            "bucket = \"photos\"\nmodels = [\"cat\"]\ncallback = \"http://127.0.0.1/\"",
            ["`ingest.rules`", "loopback"],
        ),
    ] {
        check_refused(&format!("[[ingest.rules]]\n{rule}\n"), &parts);
    }
    check_refused(
        "[objects]\ntrust_etag = \"perhaps\"",
        &["`objects.trust_etag`", "true or false"],
    );
    assert!(check("", &[("FLOTA__OBJECTS__TRUST_ETAG", "true")], &[]).unwrap().objects.trust_etag);
}

#[test]
fn a_log_level_is_a_level_or_directives_with_levels() {
    for level in [
        "loud",
        "info,loud",
        "flota_worker",
        "flota_worker=loud",
        "info,flota_worker=",
        "=info",
        "",
        "info,",
        "3",
        "a=b=info",
        "flota_worker=debug, warn",
        "flota_worker= debug",
    ] {
        let variable = [("FLOTA__LOG__LEVEL", level)];
        check_sentence(
            check("", &variable, &[]),
            &["`log.level`", level, "off, error, warn, info, debug, trace", "TARGET=LEVEL"],
        );
    }
    for level in ["off", "trace", "WARN", "info,flota_worker=debug", "flota_worker=off,warn"] {
        let settings = check("", &[("FLOTA__LOG__LEVEL", level)], &[]).unwrap();
        assert_eq!(settings.log.level, level);
    }
}

#[test]
fn secrets_are_checked_and_never_printed() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let file = format!("[notifier]\nsecrets = [\"{secret}\"]\n");
    let settings = check(&file, &[], &[]).unwrap();
    assert_eq!(settings.notifier.secrets[0].expose(), secret);
    assert!(!format!("{settings:?}").contains("MfKQ9"), "a secret was printed");
    for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9", "whsec_MfKQ9!"] {
        let variable = [("FLOTA__NOTIFIER__SECRETS", wrong)];
        let sentence = check("", &variable, &[]).unwrap_err().to_string();
        assert!(sentence.contains("`notifier.secrets`"), "{sentence}");
        assert!(sentence.contains("whsec_ and 24 to 64 bytes"), "{sentence}");
        assert!(!sentence.contains("MfKQ9"), "a secret was printed: {sentence}");
    }
    let sentence = check("", &[], &[("notifier.secrets", secret)]).unwrap_err().to_string();
    assert!(sentence.contains("the variable FLOTA__NOTIFIER__SECRETS"), "{sentence}");
}

#[test]
fn a_file_that_is_named_must_be_there_and_be_toml() {
    let missing = Settings::from_sources(Some("no/such.toml".as_ref()), [], &[]);
    assert!(matches!(missing, Err(SettingsError::Read { .. })), "{missing:?}");
    let folder = Settings::from_sources(Some(".".as_ref()), [], &[]);
    assert!(matches!(folder, Err(SettingsError::Read { .. })), "{folder:?}");
    check_refused("[worker\n", &["cannot be parsed", "flota.toml"]);
}
