use std::process::ExitCode;

use flota_deploy::doctor::{Check, Verdict, run_checks};
use serde_json::json;

use super::found::registrations;
use crate::{
    cli::{DoctorArgs, Format},
    print::{plain, print, print_json},
    show,
};

/// Checks a set-up; exit code 1 where a check finds an error.
pub(crate) async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?;
    let found = registrations(&args.models, &settings)?;
    let checks = run_checks(&settings, &found, args.worker.as_ref()).await;
    let error_count = checks.iter().filter(|check| check.is_error()).count();
    match args.format {
        Format::Json => print_json(&json!({ "error_count": error_count, "checks": checks }))?,
        Format::Text => print_checks(&checks, args.all)?,
    }
    Ok(if error_count > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_checks(checks: &[Check], all: bool) -> anyhow::Result<()> {
    let (mut error_count, mut warning_count) = (0, 0);
    for Check { about, verdict } in checks {
        let (mark, said, remedy) = match verdict {
            Verdict::Ok { .. } if !all => continue,
            Verdict::Ok { found } => ("ok", found, None),
            Verdict::Warning { problem, remedy } => {
                warning_count += 1;
                ("warning", problem, Some(remedy))
            }
            Verdict::Error { problem, remedy } => {
                error_count += 1;
                ("error", problem, Some(remedy))
            }
        };
        print(format!("{mark:8} {}: {}", plain(about), plain(said)))?;
        if let Some(remedy) = remedy {
            print(format!("{:8}   {}", "", plain(remedy)))?;
        }
    }
    let checked = show::count(checks.len(), "check");
    Ok(print(match (error_count, warning_count) {
        (0, 0) => format!("{checked}, no problem found"),
        (errors, warnings) => format!(
            "{checked}: {}, {}",
            show::count(errors, "error"),
            show::count(warnings, "warning")
        ),
    })?)
}
