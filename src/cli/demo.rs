//! `linkyd demo`: a whole run against the simulator, without an account.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args::DemoArgs;
use super::render::number;
use super::{Trouble, progress, sync};
use crate::budget::Limits;
use crate::client::HttpTransport;
use crate::clock::{Calendar, Clock};
use crate::config::{self, Config, Environment, Loaded, Secrets};
use crate::daemon::reload::Setting;
use crate::daemon::signals::{self, Asked};
use crate::daemon::turn::Turns;
use crate::daemon::{self, Daemon, Parts};
use crate::domain::{Api, CustomerDataset, Dataset, Days, Kind, Prm, Values, paris};
use crate::engine::knowledge::published_end;
use crate::engine::{ActiveMeter, ActiveSource, Engine, Report, Selection};
use crate::exit::Exit;
use crate::http;
use crate::observe::LogHandle;
use crate::simulator::{self, AsOf, MeterKind, MeterSpec, Simulator, World};
use crate::source::Source as _;
use crate::source::enedis::{Enedis, EnedisSettings};
use crate::store::sqlite::{Mode, SqliteStore};
use crate::store::{Store, StoreError};

/// The invented meter of the demo.
const PRM: &str = "09999999999991";
const NAME: &str = "Demo";

pub(super) async fn demo(args: &DemoArgs, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let prm: Prm = PRM.parse().map_err(|error| Trouble::new(Exit::Internal, &error))?;
    clear(&args.database, &prm).await?;
    let asked = signals::install().map_err(|error| Trouble::new(Exit::Internal, &error))?;
    let stop = asked.stop.clone();
    let world = World::new(20_260_928).with(MeterSpec::new(prm.clone()).kind(MeterKind::Both));
    let played = Simulator::new(world, Arc::clone(&clock), Calendar::new(Arc::clone(&clock), None));
    if args.full_speed {
        played.set_limits(simulator::Limits::OFF);
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|error| Trouble::new(Exit::InputOutput, &error))?;
    let address = listener.local_addr().map_err(|error| Trouble::new(Exit::InputOutput, &error))?;
    let served = CancellationToken::new();
    let _until_the_end = served.clone().drop_guard();
    let enedis = played.clone();
    tokio::spawn(async move { enedis.serve(listener, async move { served.cancelled().await }).await });

    let store = Arc::new(SqliteStore::open(&args.database, Mode::Create, "linkyd demo").await?);
    let shared: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
    let engine = engine(shared, Arc::clone(&clock), &prm, address, args.full_speed)?;
    let mut out = io::stdout().lock();
    if !args.json {
        writeln!(
            out,
            "A simulated Enedis listens on {address}. Fetching three years of an invented household with a solar roof{}.",
            if args.full_speed { "" } else { ", at the pace that Enedis allows (5 calls a second)" }
        )?;
    }
    let bar = progress::bar(args.json);
    let report = engine.pass(&Selection::default(), &stop, &|done| progress::show(&bar, done)).await;
    bar.finish_and_clear();
    let report = report?;
    let checked = compare(&store, &played.world(), &prm, &engine).await?;
    if args.json {
        let mut document = sync::document(&report);
        if let Some(object) = document.as_object_mut() {
            object.insert("database".to_owned(), json!(args.database.display().to_string()));
            object.insert("values_equal".to_owned(), json!(checked.equal));
            object.insert("values_different".to_owned(), json!(checked.different));
        }
        writeln!(out, "{document:#}")?;
    } else {
        out.write_all(text(&report, checked, &args.database).as_bytes())?;
    }
    if checked.different > 0 && !report.stopped {
        return Ok(Exit::Failed);
    }
    if args.serve && !report.stopped {
        let listen = page_address().await.map_err(|error| Trouble::new(Exit::InputOutput, &error))?;
        if !args.json {
            writeln!(out, "\nThe status page is at http://{listen}/ until you interrupt this (Ctrl-C).")?;
        }
        drop(out);
        serve(configuration(&args.database, address, listen)?, engine, clock, asked, args).await?;
        return Ok(Exit::Done);
    }
    Ok(if report.stopped { Exit::Done } else { report.exit() })
}

/// Where the status page of a daemon is looked for, or another port where that one is taken.
async fn page_address() -> io::Result<SocketAddr> {
    let usual: SocketAddr = ([127, 0, 0, 1], 9764).into();
    match tokio::net::TcpListener::bind(usual).await {
        Ok(_) => Ok(usual),
        Err(_) => tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?.local_addr(),
    }
}

/// The configuration that the demo amounts to.
fn configuration(database: &Path, enedis: SocketAddr, listen: SocketAddr) -> Result<Loaded, Trouble> {
    let datasets = Dataset::ALL.map(Dataset::name).join(",") + "," + CustomerDataset::Contract.name();
    let pairs = [
        ("DATABASE__URL", format!("sqlite://{}", database.display())),
        ("SOURCE__ENEDIS__BASE_URL", format!("http://{enedis}/")),
        ("SOURCE__ENEDIS__CLIENT_ID", "demo".to_owned()),
        ("HTTP__LISTEN", listen.to_string()),
        ("METER__0__PRM", PRM.to_owned()),
        ("METER__0__NAME", NAME.to_owned()),
        ("METER__0__DATASETS", datasets),
    ];
    let environment = Environment::from_pairs(pairs.map(|(name, value)| (format!("LINKYD_{name}"), value)));
    Ok(config::load(Some(Path::new("/dev/null")), &environment, Secrets::Skip)?)
}

/// Goes on as a daemon does, against the simulated Enedis.
async fn serve(
    loaded: Loaded,
    engine: Engine,
    clock: Arc<dyn Clock>,
    asked: Arc<Asked>,
    args: &DemoArgs,
) -> Result<(), Trouble> {
    let (store, http) = (Arc::clone(&engine.store), loaded.config.http.clone());
    let again = loaded.clone();
    let read = move || Ok(again.clone());
    let build = move |_: &Config, _| Ok(engine.clone());
    let setting = Setting::new(loaded.config, &store, Box::new(read), Box::new(build), LogHandle::none())
        .map_err(|message| Trouble { exit: Exit::Internal, message })?;
    let board = daemon::board(&setting, clock.now());
    let page = http::Page {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        board: board.clone(),
        database: Some(args.database.clone()),
        tally: Arc::default(),
    };
    // The demo holds the database for itself, so its passes have no turn to wait for.
    let turns = Turns::new(None, Arc::clone(&clock));
    let daemon = Daemon::new(Parts { store, turns, clock, asked, setting, board }).await?;
    let _page = http::start(&http, page).await;
    daemon.run().await;
    Ok(())
}

/// Removes what an earlier demo left; refuses to touch anything else.
async fn clear(path: &Path, prm: &Prm) -> Result<(), Trouble> {
    if !path.exists() {
        return Ok(());
    }
    let refuse = || Trouble {
        exit: Exit::Usage,
        message: format!("{} is not a demo's database; name another file with --database", path.display()),
    };
    // Looked at without a lock first: beside a stranger's file not even that is left.
    match SqliteStore::open(path, Mode::Read, "linkyd demo").await {
        Ok(_) | Err(StoreError::Older { .. }) => {}
        Err(_) => return Err(refuse()),
    }
    let store = match SqliteStore::open(path, Mode::Write, "linkyd demo").await {
        Ok(store) => store,
        Err(busy @ StoreError::Busy { .. }) => return Err(busy.into()),
        Err(_) => return Err(refuse()),
    };
    let series = store.status().await?;
    if series.iter().any(|s| s.prm != *prm) || (series.is_empty() && !is_fresh(&store).await?) {
        return Err(refuse());
    }
    drop(store);
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        match std::fs::remove_file(Path::new(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let message = format!("cannot remove {}: {error}", Path::new(&name).display());
                return Err(Trouble { exit: Exit::InputOutput, message });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a database holds no meter at all, as after a demo that was stopped at once.
async fn is_fresh(store: &SqliteStore) -> Result<bool, StoreError> {
    Ok(store.facts(0).await?.series.is_empty())
}

fn engine(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    prm: &Prm,
    address: SocketAddr,
    full_speed: bool,
) -> Result<Engine, Trouble> {
    let base_url: url::Url =
        format!("http://{address}/").parse().map_err(|error: url::ParseError| Trouble::new(Exit::Internal, &error))?;
    let transport = HttpTransport::new(&base_url).map_err(|error| Trouble::new(Exit::Internal, &error))?;
    let source = Enedis::new(EnedisSettings {
        name: "enedis".to_owned(),
        base_url,
        apis: vec![Api::V2026],
        client_id: "demo".to_owned(),
        client_secret: SecretString::from("demo"),
        user_agent: Enedis::user_agent(),
    });
    let limits = if full_speed {
        Limits { per_second: 1_000, per_hour: None, per_day: None }
    } else {
        Limits { per_second: 5, per_hour: Some(900), per_day: None }
    };
    let meter = ActiveMeter {
        // With its off-peak hours each interval has a class.
        customer: vec![CustomerDataset::Contract],
        prm: prm.clone(),
        name: NAME.to_owned(),
        sources: vec![source.name().to_owned()],
        datasets: Dataset::ALL.to_vec(),
        since: None,
    };
    Ok(Engine {
        store,
        calendar: Calendar::new(Arc::clone(&clock), None),
        clock,
        sources: vec![ActiveSource { source: Arc::new(source), transport: Arc::new(transport), limits, cached: None }],
        meters: vec![meter],
        every: BTreeMap::new(),
    })
}

/// How many stored values equal the simulator's.
#[derive(Debug, Clone, Copy, Default)]
struct Compared {
    equal: usize,
    different: usize,
}

/// Compares everything stored with what the simulated Enedis has.
async fn compare(store: &SqliteStore, world: &World, prm: &Prm, engine: &Engine) -> Result<Compared, Trouble> {
    let now = engine.calendar.now();
    let mut compared = Compared::default();
    for dataset in Dataset::ALL {
        let reach = engine.sources.first().and_then(|s| s.source.reach(dataset));
        let first = reach.map(|reach| reach.first_day(paris::today(now)));
        let Some(days) = first.and_then(|first| Days::new(first, published_end(now))) else { continue };
        let (stored, truth): (Vec<_>, Vec<_>) = (
            rows(&store.readings(prm, dataset).await?),
            match dataset.kind() {
                Kind::LoadCurve => world.curve(prm, dataset.direction(), days, AsOf::Instant(now)),
                Kind::DailyEnergy => world
                    .daily(prm, dataset.direction(), days, AsOf::Instant(now))
                    .into_iter()
                    .map(|(day, wh)| (i64::from(day.number()), 0, wh))
                    .collect(),
                Kind::MaxPower => world
                    .peaks(prm, days, AsOf::Instant(now))
                    .into_iter()
                    .map(|(day, va, _)| (i64::from(day.number()), 0, va))
                    .collect(),
                Kind::Registers => {
                    let mut shown = world.registers(prm, dataset.direction(), days, AsOf::Instant(now));
                    // In the order in which a database has them.
                    shown.sort_by_key(|value| {
                        let calendar = value.counts.as_ref().map(|(calendar, _)| calendar.clone());
                        (value.midnight, calendar, value.register.clone())
                    });
                    shown.iter().map(|value| (paris::start_of(value.midnight), 0, value.wh)).collect()
                }
            },
        );
        let equal = stored.iter().zip(&truth).filter(|(stored, truth)| stored == truth).count();
        compared.equal += equal;
        compared.different += stored.len().max(truth.len()) - equal;
    }
    Ok(compared)
}

fn rows(values: &Values) -> Vec<(i64, i64, i64)> {
    match values {
        Values::Curve(points) => {
            points.iter().map(|p| (p.interval.start, i64::from(p.interval.step.minutes()), p.watts)).collect()
        }
        Values::Energy(days) => days.iter().map(|d| (i64::from(d.day.number()), 0, d.wh)).collect(),
        Values::Peaks(days) => days.iter().map(|d| (i64::from(d.day.number()), 0, d.va)).collect(),
        Values::Registers(readings) => readings.iter().map(|r| (r.read_at, 0, r.wh)).collect(),
    }
}

fn text(report: &Report, checked: Compared, database: &Path) -> String {
    let count = |n: usize| number::thousands(i64::try_from(n).unwrap_or(i64::MAX));
    let mut text = sync::text(report);
    if report.stopped {
        text.push_str("Stopped; the same command starts over.\n");
        return text;
    }
    if checked.different == 0 {
        let _infallible =
            writeln!(text, "All {} stored values equal those of the simulated Enedis.", count(checked.equal));
    } else {
        let _infallible = writeln!(
            text,
            "{} stored values differ from those of the simulated Enedis, {} equal them.",
            count(checked.different),
            count(checked.equal)
        );
    }
    let place = database.display();
    let _infallible = write!(
        text,
        "\nThe database is {place}. Look around with any SQLite tool, for instance\n  \
         sqlite3 {place} \"SELECT day, consumption_wh, hp_wh, hc_wh, production_wh, max_power_va FROM v_daily ORDER BY day DESC LIMIT 7\"\n"
    );
    text
}
