use std::process::ExitCode;

use flota_platform::doctor::{Check, Verdict, examine};
use serde_json::json;

use super::found::registrations;
use crate::{
    cli::{DoctorArgs, Format},
    print::{plain, print, print_json},
    show,
};

/// Looks for what is wrong with a set-up; exit code 1 where something is.
pub(crate) async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?;
    let found = registrations(&args.models, &settings)?;
    let checks = examine(&settings, &found, args.worker.as_ref()).await;
    let wrong_count = checks.iter().filter(|check| check.is_wrong()).count();
    match args.format {
        Format::Json => print_json(&json!({ "wrong_count": wrong_count, "checks": checks }))?,
        Format::Text => print_checks(&checks, args.all)?,
    }
    Ok(if wrong_count > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_checks(checks: &[Check], all: bool) -> anyhow::Result<()> {
    let (mut wrong_count, mut doubtful_count) = (0, 0);
    for Check { about, verdict } in checks {
        let (mark, said, remedy) = match verdict {
            Verdict::Good { .. } if !all => continue,
            Verdict::Good { seen } => ("good", seen, None),
            Verdict::Doubtful { problem, remedy } => {
                doubtful_count += 1;
                ("doubtful", problem, Some(remedy))
            }
            Verdict::Wrong { problem, remedy } => {
                wrong_count += 1;
                ("wrong", problem, Some(remedy))
            }
        };
        print(format!("{mark:8} {}: {}", plain(about), plain(said)))?;
        if let Some(remedy) = remedy {
            print(format!("{:8}   {}", "", plain(remedy)))?;
        }
    }
    let looked = show::count(checks.len(), "check");
    Ok(print(match (wrong_count, doubtful_count) {
        (0, 0) => format!("{looked}, nothing to say"),
        _ => format!("{looked}: {wrong_count} wrong, {doubtful_count} doubtful"),
    })?)
}
