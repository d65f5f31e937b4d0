use std::process::ExitCode;

use flota_worker::{Compared, EXAMPLES_FILE, Engines, Examples, ModelFolder};

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
    let Some(examples) = Examples::read(&args.folder)? else {
        print(format!("golden examples: none, for there is no {}", EXAMPLES_FILE))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut session = model.session(1)?;
    let mut mismatch_count = 0;
    for example in &examples.examples {
        let image = plain(&example.image);
        match examples.compare(example, &args.folder, &model, session.as_mut())? {
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
