use std::process::ExitCode;

use flota_worker::{Engines, ModelFolder, predict};

use super::golden::{self, Compared};
use crate::{
    cli::CheckArgs,
    print::{plain, print},
    show,
};

/// Checks a model folder and says what was checked; exit code 1 where a golden example comes out
/// otherwise.
pub(crate) async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?;
    let folder = ModelFolder::open(&args.folder, &settings.weights_dir()).await?;
    let manifest = folder.manifest().clone();
    print(format!("manifest: {} {}", manifest.name, manifest.version))?;
    print(format!("weights and labels: there and whole; the digest is {}", folder.digest()))?;
    let model = folder.load(&Engines::open(&settings.engine)?)?;
    let labels = show::count(model.labels().len(), "label");
    print(format!("network: its input and output fit the manifest, and {labels}"))?;
    let Some(examples) = golden::read(&args.folder)? else {
        print(format!("golden examples: none, for there is no {}", golden::EXAMPLES_FILE))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut session = model.session(1)?;
    let mut predict = |image: &[u8]| predict(&model, session.as_mut(), image);
    let mut mismatch_count = 0;
    for example in &examples.examples {
        let image = plain(&example.image);
        match golden::compare(&mut predict, &args.folder, example, examples.tolerance)? {
            Compared::Equal { largest_difference } => {
                print(format!("golden {image}: as wanted, within {largest_difference:.2e}"))?;
            }
            Compared::Other(difference) => {
                mismatch_count += 1;
                print(format!("golden {image}: {difference}"))?;
            }
        }
    }
    let count = show::count(examples.examples.len(), "golden example");
    if mismatch_count > 0 {
        anyhow::bail!("{mismatch_count} of {count} came out otherwise than wanted");
    }
    print(format!("{count} within {:e}", examples.tolerance))?;
    Ok(ExitCode::SUCCESS)
}
