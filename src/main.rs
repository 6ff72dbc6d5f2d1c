//! The command line: parses it, loads the configuration, runs the command, and returns the exit code. Uses
//! only the public modules of the library.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use cotiza::{
    config::{self, Config, ConfigError, Flags, LogFormat},
    process::{
        self,
        healthcheck::CheckedRole,
        operator::{self, JobCommand, ProcessCommand, QueueCommand, Status},
        prices::Command as Prices,
        sources::Command as Sources,
        up::UpArguments,
    },
    shutdown, telemetry,
};
use tokio::runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for invalid arguments or an invalid configuration; `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

const REDIS_URL_HELP: &str =
    "URL of Redis; also REDIS_URL [default: redis://127.0.0.1:6379/0; `up` runs its own]";

/// Records the price of Bitcoin in Argentine pesos every ten seconds and serves it over a REST API.
#[derive(Debug, Parser)]
#[command(name = "cotiza", version = env!("COTIZA_VERSION"))]
#[command(
    after_help = "Exit codes: 0 success or stopped by a signal, 64 invalid configuration or arguments, 1 any \
                  other error."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine (the default)
    Up {
        /// Use a simulated exchange, without internet access; its prices are stored separately from real ones
        #[arg(long)]
        simulate: bool,
    },
    /// Enqueue one job per slot; several schedulers can run at the same time
    Scheduler,
    /// Run the jobs of the queues; several workers can run at the same time
    Worker {
        /// Maximum number of jobs that run at the same time [default: 4]
        #[arg(long, value_name = "N")]
        concurrency: Option<String>,
    },
    /// Serve the REST API
    Api {
        /// Address and port to listen on [default: 127.0.0.1:8000]
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
    /// Run a simulated exchange
    Exchange(ExchangeFlags),
    /// Show the status of the system on one screen; exit with 1 if there is a problem
    #[command(
        after_help = "Examples:\n  cotiza status\n  cotiza status --watch\n  cotiza status --json"
    )]
    Status(Status),
    /// Inspect, pause, resume and purge queues
    #[command(subcommand)]
    Queue(QueueCommand),
    /// List, show, run, cancel and delete jobs
    #[command(subcommand)]
    Job(JobCommand),
    /// List schedulers, workers and apis
    #[command(subcommand)]
    Process(ProcessCommand),
    /// List the actions of operators
    Audit {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check that Redis, the processes and the sources are usable; exit with 1 if something is unfit
    #[command(
        after_help = "Examples:\n  cotiza doctor\n  cotiza doctor --json\n  cotiza doctor --redis-url \
                      rediss://user@host:6380/0"
    )]
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send test requests to the sources of the price
    #[command(subcommand)]
    Sources(Sources),
    /// Import, export, query and check samples
    #[command(subcommand)]
    Prices(Prices),
    /// Print the OpenAPI document
    Openapi {
        /// Print YAML instead of JSON
        #[arg(long)]
        yaml: bool,
    },
    /// Print the effective configuration with masked passwords
    #[command(after_help = "Examples:\n  cotiza config\n  cotiza config --markdown")]
    Config {
        /// Print a table of all keys with their defaults and descriptions instead
        #[arg(long)]
        markdown: bool,
    },
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  cotiza completions bash > /etc/bash_completion.d/cotiza\n  cotiza \
                      completions fish > ~/.config/fish/completions/cotiza.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages to a folder
    #[command(after_help = "Examples:\n  cotiza manual /usr/local/share/man/man1")]
    Manual {
        /// The folder, which must exist
        folder: PathBuf,
    },
    /// Run the Redis of `up`; only for internal use by `up`
    #[command(hide = true)]
    Redis {
        /// The configuration file of Redis
        configuration: PathBuf,
        /// The id of the process whose end stops Redis
        parent: u32,
    },
    /// Exit with 0 if the process of a role on this machine is healthy, otherwise with 1
    Healthcheck {
        /// The role of the process
        role: CheckedRole,
    },
}

#[derive(Debug, Args)]
struct Common {
    #[arg(long, global = true, value_name = "URL", help = REDIS_URL_HELP)]
    redis_url: Option<String>,
    /// Configuration file (TOML); `cotiza config` prints all keys
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Format of the log lines
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
    /// Stop when standard input is closed; `up` sets this for its child processes
    #[arg(long, global = true, hide = true)]
    supervised: bool,
}

#[derive(Debug, Args)]
struct ExchangeFlags {
    /// Address and port to listen on [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// How long it takes to respond, such as 250ms
    #[arg(long, value_name = "DURATION")]
    latency: Option<String>,
    /// Fraction of requests answered with the status 500, 0.0 to 1.0
    #[arg(long, value_name = "SHARE")]
    error_rate: Option<String>,
    /// Fraction of requests answered with a malformed response, 0.0 to 1.0
    #[arg(long, value_name = "SHARE")]
    malformed_rate: Option<String>,
    /// Seed of the random walk; the same seed produces the same prices
    #[arg(long, value_name = "N")]
    seed: Option<String>,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _unread = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let Err(error) = run(cli) else {
        return ExitCode::SUCCESS;
    };
    // The reader of the output, such as `head`, has closed it.
    let is_unread = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().filter_map(|cause| cause.downcast_ref()).any(is_unread) {
        return ExitCode::SUCCESS;
    }
    let _unread = writeln!(io::stderr(), "cotiza: {}", explained(&error));
    if error.is::<ConfigError>() { USAGE.into() } else { ExitCode::FAILURE }
}

/// Returns the messages of an error and its causes. A cause whose message is already included is skipped.
fn explained(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let flags = cli.flags();
    let config = Config::load(cli.common.config.as_deref(), &flags)?;
    let command = cli.command.unwrap_or(Command::Up { simulate: false });
    telemetry::init(&config.log)?;
    let mut runtime = match command {
        // Jobs, requests and imports can keep a thread busy; the other commands mostly wait.
        Command::Worker { .. } | Command::Api { .. } | Command::Prices(_) => {
            runtime::Builder::new_multi_thread()
        }
        _ => runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    let ended = runtime.block_on(async {
        let shutdown = &shutdown::token(cli.common.supervised)?;
        match command {
            Command::Up { simulate } => {
                let call = UpArguments { file: cli.common.config, flags, simulate };
                process::up::run(&config, &call, shutdown).await
            }
            Command::Redis { configuration, parent } => {
                process::up::become_redis(&configuration, parent)
            }
            Command::Scheduler => process::scheduler::run(&config, shutdown).await,
            Command::Worker { .. } => process::worker::run(&config, shutdown).await,
            Command::Api { .. } => process::api::run(&config, shutdown).await,
            Command::Exchange(_) => process::exchange::run(&config, shutdown).await,
            Command::Healthcheck { role } => process::healthcheck::run(&config, role).await,
            Command::Status(shown) => operator::status(&config, shown, shutdown).await,
            Command::Queue(command) => operator::queue(&config, command).await,
            Command::Job(command) => operator::job(&config, command, shutdown).await,
            Command::Process(command) => operator::processes(&config, command).await,
            Command::Audit { json } => operator::audit(&config, json).await,
            Command::Doctor { json } => process::doctor::run(&config, json).await,
            Command::Sources(command) => process::sources::run(&config, command).await,
            Command::Prices(command) => process::prices::run(&config, command).await,
            Command::Openapi { yaml } => print(&process::openapi::document(&config, yaml)?),
            Command::Config { markdown: true } => print(&config::reference()),
            Command::Config { markdown: false } => print(&config.to_masked_toml()),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "cotiza", &mut script);
                print(&String::from_utf8_lossy(&script))
            }
            Command::Manual { folder } => clap_mangen::generate_to(Cli::command(), &folder)
                .with_context(|| format!("cannot write to {}", folder.display())),
        }
    });
    // A read of standard input cannot be cancelled and must not keep the process alive.
    runtime.shutdown_background();
    ended
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{}", text.trim_end()).context("cannot write to standard output")
}

impl Cli {
    /// Returns the given flags with the keys that they set.
    fn flags(&self) -> Flags {
        let text = |address: &Option<SocketAddr>| address.map(|address| address.to_string());
        let format = self.common.log_format.map(|format| match format {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        });
        let mut flags = vec![("redis.url", self.common.redis_url.clone()), ("log.format", format)];
        match &self.command {
            Some(Command::Worker { concurrency }) => {
                flags.push(("worker.concurrency", concurrency.clone()));
            }
            Some(Command::Api { listen }) => flags.push(("api.listen", text(listen))),
            Some(Command::Exchange(exchange)) => flags.extend([
                ("exchange.listen", text(&exchange.listen)),
                ("exchange.latency", exchange.latency.clone()),
                ("exchange.error_rate", exchange.error_rate.clone()),
                ("exchange.malformed_rate", exchange.malformed_rate.clone()),
                ("exchange.seed", exchange.seed.clone()),
            ]),
            _ => {}
        }
        flags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}
