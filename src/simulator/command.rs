//! `linkyd simulate`: the simulator on a loopback address.

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;

use super::{Front, Limits, MeterSpec, Scenario, ScenarioError, Simulator, World};
use crate::clock::{Calendar, Clock};
use crate::domain::Prm;

/// Options of `linkyd simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Address to listen on, loopback only; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9765")]
    pub listen: SocketAddr,

    /// Decides about weather, households and chance
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Instant at which the simulated calendar starts; the machine's if left out
    #[arg(long, value_name = "RFC3339")]
    pub at: Option<DateTime<Utc>>,

    /// TOML file with meters, rules and faults (docs/simulator.md)
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,

    /// Delay of every answer in milliseconds
    #[arg(long, value_name = "MS")]
    pub latency_ms: Option<u64>,

    /// Up to so many milliseconds more, drawn for each answer
    #[arg(long, value_name = "MS")]
    pub jitter_ms: Option<u64>,

    /// Give every well-formed PRM a meter, even beside a world file
    #[arg(long)]
    pub any_prm: bool,

    /// List this PRM as a meter: the printed Conso API token opens it, and the account at
    /// MyElectricalData has it; may be repeated
    #[arg(long, value_name = "PRM")]
    pub prm: Vec<Prm>,

    /// Take any number of calls, at the gateways too, and ban nobody
    #[arg(long)]
    pub no_limits: bool,

    /// Write a JSON line for each call for data to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,

    /// The only client that gets a token; anybody if left out
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,

    /// The secret of that client
    #[arg(long, value_name = "SECRET", requires = "client_id")]
    pub client_secret: Option<String>,
}

/// Why the simulator does not run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// Others could reach it.
    #[error("{0} is no loopback address; the simulator has no protection, so it listens on loopback only")]
    NotLoopback(SocketAddr),
    /// The world file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log file cannot be created.
    #[error("cannot create {path}")]
    Log {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The world file says something that makes no world.
    #[error("{path}")]
    Scenario {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: ScenarioError,
    },
    /// The address is taken, or the socket broke.
    #[error("cannot serve on {address}")]
    Serve {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The address could not be told.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

/// The meter that is listed where any PRM is welcome and none is.
const ANY_METER: &str = "12345678901234";

/// The world and faults that the options ask for.
pub fn scenario(args: &SimulateArgs) -> Result<Scenario, SimulateError> {
    let mut scenario = match &args.world {
        None => Scenario { world: World::of_any_prm(0), ..Scenario::default() },
        Some(path) => {
            let unreadable = |source| SimulateError::Unreadable { path: path.clone(), source };
            let text = std::fs::read_to_string(path).map_err(unreadable)?;
            Scenario::from_toml(&text).map_err(|source| SimulateError::Scenario { path: path.clone(), source })?
        }
    };
    let Scenario { world, faults } = &mut scenario;
    world.seed = args.seed.unwrap_or(world.seed);
    world.rules.any_prm |= args.any_prm;
    for prm in &args.prm {
        if world.meter_mut(prm).is_none() {
            world.meters.push(MeterSpec::new(prm.clone()));
        }
    }
    // A gateway's token and account name their meters, so there must be one that is named.
    if world.rules.any_prm
        && world.meters.is_empty()
        && let Ok(prm) = ANY_METER.parse()
    {
        world.meter_mut(&prm);
    }
    if args.no_limits {
        world.rules.limits = Limits::OFF;
        world.rules.conso_api.ban_at = None;
        let med = &mut world.rules.myelectricaldata;
        (med.uncached_per_day, med.cached_per_day) = (None, None);
    }
    if args.client_id.is_some() {
        world.rules.token.client_id.clone_from(&args.client_id);
        world.rules.token.client_secret.clone_from(&args.client_secret);
    }
    faults.latency_ms = args.latency_ms.unwrap_or(faults.latency_ms);
    faults.jitter_ms = args.jitter_ms.unwrap_or(faults.jitter_ms);
    Ok(scenario)
}

/// What linkyd needs to know to ask Enedis and the gateways, as it stands in its configuration.
fn sources(simulator: &Simulator, url: &str) -> String {
    let world = simulator.world();
    // Where nothing is said any client gets a token.
    let token = &world.rules.token;
    let (id, secret) = (token.client_id.as_deref(), token.client_secret.as_deref());
    let (id, secret) = (id.unwrap_or("any"), secret.unwrap_or("any"));
    let prms: Vec<&str> = world.meters.iter().map(|meter| meter.prm.full()).collect();
    let (conso, med) = (Front::ConsoApi, Front::MyElectricalData);
    let (client_id, client_secret) = simulator.med_credentials();
    format!(
        "\n# For a file that only you can read (chmod 600): from one that everybody can read linkyd takes no secrets.\n\
         [source.enedis]\nkind = \"enedis\"\nbase_url = \"{url}/\"\nclient_id = \"{id}\"\nclient_secret = \"{secret}\"\n\n\
         [source.conso]\nkind = \"{}\"\nbase_url = \"{url}{}\"\ntoken = \"{}\"\n\n[source.med]\nkind = \"{}\"\n\
         version = 2\nbase_url = \"{url}{}\"\nclient_id = \"{client_id}\"\nclient_secret = \"{client_secret}\"\n",
        conso.name(),
        conso.prefix(),
        simulator.conso_token(&prms),
        med.name(),
        med.prefix(),
    )
}

/// Serves until `stop` is done. Once it listens, it writes its address in a line to `out`, and
/// below it what a configuration needs to ask it and the gateways.
pub async fn simulate(
    args: &SimulateArgs,
    clock: Arc<dyn Clock>,
    out: &mut (dyn Write + Send),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), SimulateError> {
    let address = args.listen;
    if !address.ip().is_loopback() {
        return Err(SimulateError::NotLoopback(address));
    }
    let Scenario { world, faults } = scenario(args)?;
    let simulator = Simulator::new(world, Arc::clone(&clock), Calendar::new(clock, args.at));
    simulator.set_faults(faults);
    if let Some(path) = &args.log {
        let file = std::fs::File::create(path).map_err(|source| SimulateError::Log { path: path.clone(), source })?;
        simulator.log_to(file);
    }

    let serve = |source| SimulateError::Serve { address, source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(serve)?;
    let actual = listener.local_addr().map_err(serve)?;
    let url = format!("http://{actual}");
    // In one piece: whoever reads the first line alone and closes must not break the rest.
    let told = format!("listening on {url}\n{}", sources(&simulator, &url));
    out.write_all(told.as_bytes()).and_then(|()| out.flush()).map_err(SimulateError::Output)?;
    simulator.serve(listener, stop).await.map_err(serve)
}
