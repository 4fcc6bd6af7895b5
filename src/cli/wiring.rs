//! From the configuration to an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::Trouble;
use super::args::Narrow;
use crate::budget::Limits;
use crate::client::HttpTransport;
use crate::clock::{Calendar, Clock};
use crate::config::{ApiChoice, Config, ConfigError, LimitsConfig, Problem, SourceConfig, SourceSettings};
use crate::domain::{Api, CustomerDataset, Dataset, Day, Days, Kind, Prm};
use crate::engine::{ActiveMeter, ActiveSource, Engine, Selection};
use crate::exit::Exit;
use crate::plan::Request;
use crate::source::conso_api::{ConsoApi, ConsoApiSettings};
use crate::source::enedis::{self, Enedis, EnedisSettings};
use crate::source::myelectricaldata::{MyElectricalData, MyElectricalDataSettings};
use crate::source::{Pool, Source};
use crate::store::lock::{self, DAEMON};
use crate::store::{Database, Mode, Place, Store, StoreError};

/// A source without the way to it: enough to plan and to count.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    /// How to ask it and read it.
    pub(crate) source: Arc<dyn Source>,
    limits: Limits,
    cached: Option<Limits>,
}

impl Counted {
    /// What it counts, and what of that linkyd allows itself.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (Pool, Limits)> {
        [(Pool::Live, Some(self.limits)), (Pool::Cached, self.cached)]
            .into_iter()
            .filter_map(|(pool, limits)| limits.map(|limits| (pool, limits)))
    }
}

/// The sources with the limits that hold. Those that count calls by the same account share the
/// smallest of their limits: the account does not know which of them asks.
pub(crate) fn counted(config: &Config) -> Vec<Counted> {
    let count = |source: &SourceConfig| {
        let LimitsConfig { per_second, per_hour, cached_per_day, .. } = source.limits;
        Counted {
            source: adapter(source),
            limits: Limits { per_second, per_hour, per_day: source.limits.own_per_day() },
            cached: cached_per_day.map(|per_day| Limits { per_second, per_hour, per_day: Some(per_day) }),
        }
    };
    let mut sources: Vec<Counted> = config.sources.iter().map(count).collect();
    share(&mut sources);
    sources
}

/// The sources, ready for use.
pub(super) fn sources(config: &Config) -> Result<Vec<ActiveSource>, Trouble> {
    let counted = counted(config);
    let useless = useless(&counted, config);
    if !useless.is_empty() {
        return Err(ConfigError::Invalid(useless).into());
    }
    let mut sources = Vec::new();
    for (counted, source) in counted.into_iter().zip(&config.sources) {
        let transport = HttpTransport::new(&source.base_url).map_err(|error| Trouble::new(Exit::Internal, &error))?;
        let Counted { source, limits, cached } = counted;
        sources.push(ActiveSource { source, transport: Arc::new(transport), limits, cached });
    }
    Ok(sources)
}

/// What asks and reads, by kind. Commands that make no calls have no secrets.
fn adapter(config: &SourceConfig) -> Arc<dyn Source> {
    let known = |secret: &Option<SecretString>| secret.clone().unwrap_or_else(|| SecretString::from(""));
    let (name, base_url) = (config.name.clone(), config.base_url.clone());
    match &config.settings {
        SourceSettings::Enedis { api, client_id, client_secret, .. } => Arc::new(Enedis::new(EnedisSettings {
            name,
            base_url,
            apis: match api {
                ApiChoice::V5 => vec![Api::V5],
                ApiChoice::V2026 => vec![Api::V2026],
                ApiChoice::Auto => vec![Api::V2026, Api::V5],
            },
            client_id: client_id.clone(),
            client_secret: known(client_secret),
            user_agent: Enedis::user_agent(),
        })),
        SourceSettings::ConsoApi { token } => Arc::new(ConsoApi::new(ConsoApiSettings {
            name,
            base_url,
            token: known(token),
            user_agent: ConsoApi::user_agent(),
        })),
        SourceSettings::MyElectricalData { client_id, client_secret } => {
            Arc::new(MyElectricalData::new(MyElectricalDataSettings {
                name,
                base_url,
                client_id: client_id.clone(),
                client_secret: known(client_secret),
                user_agent: MyElectricalData::user_agent(),
            }))
        }
    }
}

/// Gives all sources of an account the smallest of their limits.
fn share(sources: &mut [Counted]) {
    let all: Vec<(String, Limits, Option<Limits>)> =
        sources.iter().map(|s| (s.source.account(), s.limits, s.cached)).collect();
    for active in sources {
        let account = active.source.account();
        for (_, limits, cached) in all.iter().filter(|(other, ..)| *other == account) {
            active.limits = active.limits.smaller(limits);
            active.cached = active.cached.map(|own| cached.map_or(own, |other| own.smaller(&other)));
        }
    }
}

/// Complains about each source of a meter that has none of the meter's datasets, and about each dataset that none
/// of the meter's sources has. Only the sources themselves know what they offer.
pub(super) fn useless(sources: &[Counted], config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for meter in &config.meters {
        for counted in sources.iter().filter(|s| meter.sources.iter().any(|name| name == s.source.name())) {
            let about = |about: &CustomerDataset| {
                counted.source.customer_apis().iter().all(|api| counted.source.customer_calls(*about, *api).is_empty())
            };
            let measures = meter.datasets.iter().all(|dataset| counted.source.reach(*dataset).is_none());
            if measures && meter.customer.iter().all(about) {
                let registers = meter.customer.is_empty() && meter.datasets.iter().all(|d| d.kind() == Kind::Registers);
                let advice = if registers && counted.source.kind() == enedis::KIND {
                    "; registers are in the API of 2026 alone: set its api to \"auto\" or \"2026\", or collect other datasets"
                } else if registers {
                    "; nobody but Enedis has registers: list a source of kind \"enedis\" in its place"
                } else {
                    "; take it from the meter's sources"
                };
                let (source, name) = (counted.source.name(), &meter.name);
                let message = format!("source {source:?} offers none of the datasets of meter {name:?}{advice}");
                problems.push(Problem::new(meter.stands.0.clone(), &message));
            }
        }
        let of_meter = || sources.iter().filter(|s| meter.sources.iter().any(|name| name == s.source.name()));
        let offered = |dataset: &Dataset| of_meter().any(|s| s.source.reach(*dataset).is_some());
        if !meter.datasets.iter().any(offered) {
            continue;
        }
        for dataset in meter.datasets.iter().filter(|dataset| !offered(dataset)) {
            let message = format!(
                "no source of meter {:?} offers {dataset}; take it from the meter's datasets{}",
                meter.name,
                match dataset.kind() {
                    Kind::Registers =>
                        ", or list a source of kind \"enedis\" whose api is \"auto\" or \"2026\": nobody else has registers",
                    Kind::LoadCurve | Kind::DailyEnergy | Kind::MaxPower => "",
                }
            );
            problems.push(Problem::new(meter.stands.0.clone(), &message));
        }
    }
    problems
}

/// The meters that are kept.
pub(super) fn meters(config: &Config) -> Vec<ActiveMeter> {
    config
        .meters
        .iter()
        .map(|meter| ActiveMeter {
            prm: meter.prm.clone(),
            name: meter.name.clone(),
            sources: meter.sources.clone(),
            datasets: meter.datasets.clone(),
            customer: meter.customer.clone(),
            since: meter.since,
        })
        .collect()
}

/// How often each dataset is asked for new days.
pub(super) fn every(config: &Config) -> BTreeMap<Dataset, i32> {
    config.schedule.every.clone()
}

/// The engine of a configuration.
pub(super) fn engine(
    config: &Config,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    at: Option<DateTime<Utc>>,
) -> Result<Engine, Trouble> {
    store.keep_answers(config.database.kept_days);
    Ok(Engine {
        store,
        calendar: Calendar::new(Arc::clone(&clock), at),
        clock,
        sources: sources(config)?,
        meters: meters(config),
        every: every(config),
    })
}

/// How long a command waits between two looks at whether the daemon's pass has ended.
const TURN_AGAIN: Duration = Duration::from_millis(250);

/// Opens the database for writing. Where a daemon is at one of its passes, or where this is the
/// daemon and a command writes, it waits until that has ended; `None` where `stop` came first.
pub(super) async fn open_in_turn(
    place: &Place,
    mode: Mode,
    command: &str,
    stop: &CancellationToken,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Database>, StoreError> {
    let mut told = false;
    loop {
        match Database::open(place, mode, command, clock).await {
            Err(busy @ StoreError::Busy { .. }) if command == DAEMON || daemon_writes(place) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!("waiting for a turn: {busy}");
                }
            }
            opened => return opened.map(Some),
        }
        tokio::select! {
            () = clock.sleep(TURN_AGAIN) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// Whether a daemon writes the file just now. Nobody waits for a turn at a server.
fn daemon_writes(place: &Place) -> bool {
    place.file().is_some_and(lock::daemon_writes)
}

/// What the arguments narrow a pass to. A meter that is not configured is a mistake.
pub(super) fn selection(narrow: &Narrow, refetch: bool, config: &Config) -> Result<Selection, Trouble> {
    refuse_unknown(&narrow.which.prms, config)?;
    let only = match (narrow.from, narrow.to) {
        (None, None) => None,
        (from, to) => Days::new(
            from.unwrap_or_else(|| Day::from_number(0)),
            to.map_or_else(|| Day::from_number(90_000), Day::next),
        ),
    };
    let request = Request { only, refetch, operator: true };
    let (datasets, customers) = (narrow.which.datasets(), narrow.which.customers());
    // Where nothing but what is about customers is named, no measures are.
    let only = (datasets.is_empty() && !customers.is_empty()).then(BTreeSet::new);
    Ok(Selection { prms: narrow.which.prms.clone(), datasets, customers, only, only_customers: None, request })
}

/// Refuses meters that are not configured.
pub(super) fn refuse_unknown(prms: &[Prm], config: &Config) -> Result<(), Trouble> {
    let Some(unknown) = prms.iter().find(|prm| config.meters.iter().all(|m| m.prm != **prm)) else { return Ok(()) };
    let message = format!("the meter {unknown} is not in the configuration; add a [[meter]] block for it");
    Err(Trouble { exit: Exit::Usage, message })
}

/// A token that is set by the first SIGINT or SIGTERM. The second one ends the process at once,
/// which the database survives like any crash.
pub(super) fn stop_on_signals() -> Result<CancellationToken, Trouble> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Trouble::new(Exit::Internal, &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if token.is_cancelled() {
                at_once();
            }
            token.cancel();
        }
    });
    Ok(stop)
}

#[expect(clippy::exit, reason = "the operator asked twice to stop")]
fn at_once() {
    std::process::exit(i32::from(Exit::Done.code()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Secrets};
    use crate::source::myelectricaldata;

    const TEXT: &str = r#"
[source.enedis]
client_id = "app"
[source.flat]
kind = "conso-api"
limits.requests_per_hour = 5
[source.home]
kind = "conso-api"
limits = { requests_per_day = 30, reserved_per_day = 14 }
[source.med]
kind = "myelectricaldata"
client_id = "a"
limits = { cached_requests_per_day = 200, reserved_per_day = 10 }
[source.med2]
kind = "myelectricaldata"
client_id = "b"
[source.med3]
kind = "myelectricaldata"
client_id = "a"
"#;

    fn configured(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        crate::config::load(Some(&path), &Environment::default(), Secrets::Skip).unwrap().config
    }

    #[test]
    fn sources_of_one_account_share_the_smallest_limits() {
        let counted = counted(&configured(TEXT));
        let limits = |name: &str| -> Vec<(Pool, Limits)> {
            counted.iter().find(|c| c.source.name() == name).unwrap().counters().collect()
        };
        let of = |per_second, per_hour, per_day| Limits { per_second, per_hour, per_day };
        assert_eq!(limits("enedis"), [(Pool::Live, of(5, Some(900), None))]);
        // One address: the hour of the one, the day of the other.
        let address = [(Pool::Live, of(1, Some(5), Some(16)))];
        assert_eq!((limits("flat").as_slice(), limits("home").as_slice()), (&address[..], &address[..]));
        // Two accounts, of which one has two sources.
        let shared = [(Pool::Live, of(1, None, Some(30))), (Pool::Cached, of(1, None, Some(200)))];
        assert_eq!((limits("med").as_slice(), limits("med3").as_slice()), (&shared[..], &shared[..]));
        let own = myelectricaldata::LIVE_PER_DAY;
        assert_eq!(limits("med2"), [(Pool::Live, of(1, None, Some(own))), (Pool::Cached, of(1, None, Some(400)))]);
    }

    #[test]
    fn each_kind_gets_its_adapter_and_its_limits() {
        let sources = sources(&configured(TEXT)).unwrap();
        let kinds: Vec<_> = sources.iter().map(|s| (s.source.name(), s.source.kind(), s.cached.is_some())).collect();
        assert_eq!(kinds[0], ("enedis", "enedis", false));
        assert_eq!(kinds[1], ("flat", "conso-api", false));
        assert_eq!(kinds[3], ("med", "myelectricaldata", true));
    }

    /// A source that has production and nothing else.
    #[derive(Debug)]
    struct ProductionOnly(Enedis);

    impl Source for ProductionOnly {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn kind(&self) -> &'static str {
            self.0.kind()
        }
        fn scope(&self) -> crate::source::Scope {
            self.0.scope()
        }
        fn credentials(&self) -> String {
            String::new()
        }

        fn account(&self) -> String {
            self.0.account()
        }
        fn apis(&self, dataset: Dataset) -> &[Api] {
            self.0.apis(dataset)
        }
        fn reach(&self, dataset: Dataset) -> Option<crate::source::Reach> {
            self.0.reach(dataset).filter(|_| dataset == Dataset::DailyProduction)
        }
        fn label(&self) -> crate::source::Label {
            self.0.label()
        }
        fn same_day(&self) -> crate::domain::SameDay {
            self.0.same_day()
        }
        fn token_request(&self) -> Option<crate::source::Request> {
            None
        }
        fn read_token(
            &self,
            response: &crate::source::Response,
            now: DateTime<Utc>,
        ) -> Result<crate::source::Token, crate::source::Refusal> {
            self.0.read_token(response, now)
        }
        fn request(&self, ask: crate::source::Ask<'_>, token: Option<&crate::source::Token>) -> crate::source::Request {
            self.0.request(ask, token)
        }
        fn read<'r>(
            &self,
            ask: crate::source::Ask<'_>,
            response: &'r crate::source::Response,
            now: DateTime<Utc>,
        ) -> crate::source::Reply<'r> {
            self.0.read(ask, response, now)
        }
    }

    /// Problems with the name of their file alone.
    fn told(problems: &[Problem]) -> Vec<String> {
        let line = |problem: &Problem| {
            let text = problem.to_string();
            text.find("config.toml").and_then(|at| text.get(at..)).unwrap_or(&text).to_owned()
        };
        problems.iter().map(line).collect()
    }

    #[test]
    fn a_source_that_has_nothing_for_a_meter_is_a_mistake() {
        let text = "[source.sun]\nkind = \"enedis\"\nclient_id = \"a\"\n[[meter]]\nprm = \"01234567890123\"\nname = \"Maison\"\n";
        let complaints = |text: &str| -> Vec<String> {
            let config = configured(text);
            let sun = Enedis::new(EnedisSettings {
                name: "sun".to_owned(),
                base_url: config.sources[0].base_url.clone(),
                apis: vec![Api::V2026],
                client_id: "a".to_owned(),
                client_secret: SecretString::from("b"),
                user_agent: Enedis::user_agent(),
            });
            let mut counted = counted(&config);
            counted[0].source = Arc::new(ProductionOnly(sun));
            told(&useless(&counted, &config))
        };
        assert_eq!(
            complaints(text),
            [
                "config.toml:5: source \"sun\" offers none of the datasets of meter \"Maison\"; take it from the meter's sources"
            ]
        );
        let some = format!("{text}datasets = [\"daily_consumption\", \"daily_production\"]\n");
        assert_eq!(
            complaints(&some),
            [
                "config.toml:7: no source of meter \"Maison\" offers daily_consumption; take it from the meter's datasets"
            ]
        );
        let all = format!("{text}datasets = [\"daily_production\"]\n");
        assert_eq!(complaints(&all), Vec::<String>::new());
    }

    #[test]
    fn registers_want_a_source_that_speaks_the_api_of_2026() {
        let of = |api: &str, datasets: &str| -> Vec<String> {
            let config = configured(&format!(
                "[source.enedis]\nclient_id = \"a\"\napi = \"{api}\"\n[[meter]]\nprm = \"01234567890123\"\n\
                 name = \"Maison\"\ndatasets = [{datasets}]\n"
            ));
            told(&useless(&counted(&config), &config))
        };
        let complaints = |api: &str| of(api, "\"daily_consumption\", \"consumption_index\"");
        assert_eq!(
            complaints("v5"),
            [
                "config.toml:7: no source of meter \"Maison\" offers consumption_index; take it from the meter's datasets, \
                 or list a source of kind \"enedis\" whose api is \"auto\" or \"2026\": nobody else has registers"
            ]
        );
        assert_eq!(
            of("v5", "\"consumption_index\", \"production_index\""),
            [
                "config.toml:7: source \"enedis\" offers none of the datasets of meter \"Maison\"; registers are in the API \
                 of 2026 alone: set its api to \"auto\" or \"2026\", or collect other datasets"
            ]
        );
        assert_eq!(complaints("2026"), Vec::<String>::new());
        assert_eq!(complaints("auto"), Vec::<String>::new());
    }
}
