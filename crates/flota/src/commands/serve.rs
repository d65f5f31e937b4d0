use std::{io::ErrorKind, net::SocketAddr, process::ExitCode};

use anyhow::Context;
use flota_deploy::provision::Action;
use flota_platform::{Platform, shutdown::Shutdown, telemetry};
use tokio::net::TcpListener;

use super::provision::resources;
use crate::{cli::ServeArgs, fleet::LISTENING, print::print};

/// Runs the server until it is told to stop.
pub(crate) async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut settings = args.settings.load()?;
    if !args.roles.is_empty() {
        settings.server.roles = args.roles.into_iter().collect();
    }
    telemetry::init(&settings.log)?;
    let mut shutdown = Shutdown::on_signals().context("cannot listen for signals")?;
    if args.stop_on_stdin_close {
        shutdown = shutdown.and_on_stdin_close().context("cannot watch standard input")?;
    }
    let listener = listen(settings.server.listen).await?;
    settings.server.listen = listener.local_addr().context("cannot read the port")?;
    if settings.aws.create_missing {
        resources(&settings, &[], Action::Make).await?;
    }
    let platform = Platform::open(&settings).await?;
    print(format!("{LISTENING}http://{}", settings.server.listen))?;
    flota_server::run(listener, platform, settings, shutdown.token()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let sentence = match error.kind() {
            ErrorKind::AddrInUse => format!(
                "port {} is in use: stop the process that listens there, or choose another port with \
                 --set server.listen={}",
                address.port(),
                SocketAddr::new(address.ip(), 0)
            ),
            _ => format!("cannot listen on {address}"),
        };
        anyhow::Error::from(error).context(sentence)
    })
}
