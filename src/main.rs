//! The command line: parses it, loads the configuration, runs the command, chooses the exit code.

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
    config::{Config, ConfigError, Flags, LogFormat},
    process::{
        self,
        healthcheck::Checked,
        operator::{self, JobCommand, ProcessCommand, QueueCommand, Status},
        prices::Command as Prices,
        sources::Command as Sources,
        up::Call,
    },
    shutdown, telemetry,
};
use tokio::runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad arguments or a bad configuration; `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

const REDIS_URL_HELP: &str =
    "Redis to use; also REDIS_URL [default: redis://127.0.0.1:6379/0; `up` runs its own]";

/// Records the price of Bitcoin in Argentine pesos every ten seconds and serves it.
#[derive(Debug, Parser)]
#[command(name = "cotiza", version = env!("COTIZA_VERSION"))]
#[command(
    after_help = "Exit codes: 0 stopped when asked, 64 bad configuration or arguments, 1 anything else."
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
        /// Ask a simulated exchange, without internet; its prices are kept apart from real ones
        #[arg(long)]
        simulate: bool,
    },
    /// Enqueue one job a slot; any number of schedulers may run
    Scheduler,
    /// Take jobs and run them; any number of workers may run
    Worker {
        /// Jobs to run at the same time [default: 4]
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
    /// Show on one screen how everything is; exit with 1 if something is wrong
    #[command(
        after_help = "Examples:\n  cotiza status\n  cotiza status --watch\n  cotiza status --json"
    )]
    Status(Status),
    /// Look at queues, pause and resume them
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Look at jobs, run one now, remove some
    #[command(subcommand)]
    Job(JobCommand),
    /// Look at schedulers, workers and apis
    #[command(subcommand)]
    Process(ProcessCommand),
    /// List what operators have done
    Audit {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check whether Redis and all else that is needed is there and fit; exit with 1 if something is not
    #[command(
        after_help = "Examples:\n  cotiza doctor\n  cotiza doctor --json\n  cotiza doctor --redis-url \
                      rediss://user@host:6380/0"
    )]
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask the sources of the price by hand
    #[command(subcommand)]
    Sources(Sources),
    /// Samples in and out, and questions to them
    #[command(subcommand)]
    Prices(Prices),
    /// Print the OpenAPI document
    Openapi {
        /// As YAML instead of JSON
        #[arg(long)]
        yaml: bool,
    },
    /// Print the effective configuration, passwords masked
    Config,
    /// Print the completions of a shell
    #[command(
        after_help = "Examples:\n  cotiza completions bash > /etc/bash_completion.d/cotiza\n  cotiza \
                      completions fish > ~/.config/fish/completions/cotiza.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "Examples:\n  cotiza manual /usr/local/share/man/man1")]
    Manual {
        /// The folder, which must be there
        folder: PathBuf,
    },
    /// Become the Redis of `up`; used by `up` alone
    #[command(hide = true)]
    Redis {
        /// Its configuration
        configuration: PathBuf,
        /// The process that it ends with
        parent: u32,
    },
    /// Exit with 0 if the process of a role on this machine is well, else with 1
    Healthcheck {
        /// Which role
        role: Checked,
    },
}

#[derive(Debug, Args)]
struct Common {
    #[arg(long, global = true, value_name = "URL", help = REDIS_URL_HELP)]
    redis_url: Option<String>,
    /// Configuration file (TOML); `cotiza config` prints all keys
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines look
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
    /// Stop when standard input closes; set by `up` for its children
    #[arg(long, global = true, hide = true)]
    supervised: bool,
}

#[derive(Debug, Args)]
struct ExchangeFlags {
    /// Address and port to listen on [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Time it takes to answer, such as 250ms
    #[arg(long, value_name = "DURATION")]
    latency: Option<String>,
    /// Share of requests answered with an error, 0.0 to 1.0
    #[arg(long, value_name = "SHARE")]
    error_rate: Option<String>,
    /// Share of requests answered with rubbish, 0.0 to 1.0
    #[arg(long, value_name = "SHARE")]
    malformed_rate: Option<String>,
    /// Seed of the random walk
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

/// An error and its causes, each said once: some repeat the text of their own cause.
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
        // Jobs, requests and imports may keep a thread busy; the rest only waits.
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
                let call = Call { file: cli.common.config, flags, simulate };
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
            Command::Config => print(&config.to_masked_toml()),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "cotiza", &mut script);
                print(&String::from_utf8_lossy(&script))
            }
            Command::Manual { folder } => clap_mangen::generate_to(Cli::command(), &folder)
                .with_context(|| format!("cannot write into {}", folder.display())),
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
    /// The flags that were given, under the keys they set.
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
